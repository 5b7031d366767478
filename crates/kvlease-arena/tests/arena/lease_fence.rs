//! Deadlines that outlive the daemon.

use std::{
    env,
    fs::File,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    process::Command,
    time::Duration,
};

use kvlease_arena::{Arena, Beyond, LeaseFenceOrigin, REGION_SIZE, SegmentOptions};
use kvlease_sys::boot_time;
use kvlease_types::{ByteSize, Extent, Timestamp};
use rustix::process::Signal;

use crate::fixture::{CAPACITY, Fixture, LEASE_TTL_MAX, extent, name, populate, read, write};

const MIB: u64 = 1 << 20;

#[test]
fn deadlines_survive_a_restart_and_only_grow() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    assert_eq!(arena.lease_fence().origin(), LeaseFenceOrigin::Created);
    let now = boot_time();
    assert_eq!(arena.lease_fence().pending(now), []);
    let soon = now.after(Duration::from_secs(100));
    let late = now.after(Duration::from_secs(200));
    // The first extent touches two regions by one byte each.
    arena.lease_fence().raise(&[extent(2 * MIB - 1, 2), extent(6 * MIB, 0)], late);
    arena.lease_fence().raise(&[extent(0, 1), extent(4 * MIB, 1)], soon);
    let expected = vec![(extent(0, 4 * MIB), late), (extent(4 * MIB, REGION_SIZE.bytes()), soon)];
    assert_eq!(arena.lease_fence().pending(now), expected);
    let leased_until = |extents: &[Extent]| arena.lease_fence().leased_until(extents);
    assert_eq!(leased_until(&[extent(0, 4 * MIB)]), late);
    assert_eq!(leased_until(&[extent(0, 5 * MIB)]), soon, "no lease covers it all for longer");
    assert_eq!(leased_until(&[extent(0, 1), extent(7 * MIB, 1)]), Timestamp::default());
    for nowhere in [extent(0, CAPACITY.bytes() + 1), extent(u64::MAX, 2)] {
        assert_eq!(leased_until(&[nowhere]), Timestamp::default());
    }
    assert_eq!(leased_until(&[]), Timestamp::default());
    drop(arena);

    let arena = fixture.open();
    assert_eq!(arena.lease_fence().origin(), LeaseFenceOrigin::Kept);
    assert_eq!(arena.lease_fence().pending(now), expected);
    assert_eq!(arena.lease_fence().pending(soon), expected[..1]);
    assert_eq!(arena.lease_fence().pending(late), []);
}

/// The daemon of this test is this test again, in a process of its own.
#[test]
fn deadlines_and_bytes_survive_a_daemon_that_is_killed() {
    const DAEMON_DIR: &str = "KVLEASE_TEST_KILLED_DAEMON_DIR";
    const TEST: &str = "lease_fence::deadlines_and_bytes_survive_a_daemon_that_is_killed";
    const UNTIL: &str = "KVLEASE_TEST_KILLED_DAEMON_UNTIL";
    let until = env::var(UNTIL).map_or_else(
        |_| boot_time().after(LEASE_TTL_MAX / 2),
        |nanos| Timestamp::from_nanos(nanos.parse().unwrap()),
    );
    if let Ok(dir) = env::var(DAEMON_DIR) {
        let options = SegmentOptions::new(name(), CAPACITY, LEASE_TTL_MAX);
        let arena = Arena::open(&SegmentOptions { dir: dir.into(), ..options }).unwrap();
        populate(&arena);
        write(&arena, 5 * MIB, b"written before the kill");
        arena.lease_fence().raise(&[extent(5 * MIB, 23)], until);
        rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
        unreachable!("the process was killed");
    }
    let fixture = Fixture::new();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(DAEMON_DIR, fixture.options().dir)
        .env(UNTIL, until.nanos().to_string())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    let arena = fixture.open();
    assert!(arena.reopened(), "the lock of the killed daemon is free");
    assert_eq!(arena.lease_fence().pending(boot_time()), [(extent(4 * MIB, 2 * MIB), until)]);
    assert_eq!(read(&arena, 5 * MIB, 23), b"written before the kill");
}

#[test]
fn a_deadline_that_no_lease_can_have_is_cut_to_the_longest_and_told() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let fence = arena.lease_fence();
    let soon = boot_time().after(Duration::from_secs(60));
    fence.raise(&[extent(0, 1)], soon);
    // Of a clock that is eleven days ahead.
    fence.raise(&[extent(4 * MIB, 1)], boot_time().after(Duration::from_secs(1_000_000)));
    drop(arena);
    let before = boot_time();
    let arena = fixture.open();
    let Beyond::Disbelieved(until) = arena.lease_fence().beyond() else {
        panic!("{:?}", arena.lease_fence().beyond());
    };
    assert!(until >= before.after(LEASE_TTL_MAX) && until <= boot_time().after(LEASE_TTL_MAX));
    let pending = arena.lease_fence().pending(before);
    assert_eq!(pending, [(extent(0, 2 * MIB), soon), (extent(4 * MIB, 2 * MIB), until)]);
    drop(arena);
    assert_eq!(fixture.open().lease_fence().beyond(), Beyond::None, "it is told once");
}

#[test]
fn a_long_lease_is_believed_of_a_daemon_that_granted_such_ones() {
    let fixture = Fixture::new();
    let longer = SegmentOptions { lease_ttl_max: LEASE_TTL_MAX * 3, ..fixture.options() };
    let arena = fixture.open_with(&longer);
    let until = boot_time().after(LEASE_TTL_MAX * 2);
    arena.lease_fence().raise(&[extent(0, 1)], until);
    drop(arena);
    // Twice: the second restart does not know less than the first.
    for _ in 0..2 {
        let arena = fixture.open();
        assert_eq!(arena.lease_fence().beyond(), Beyond::Believed(until));
        assert_eq!(arena.lease_fence().pending(boot_time()), [(extent(0, 2 * MIB), until)]);
    }
    // A release that did not keep the longest lease is believed as well.
    std::fs::remove_file(fixture.private("longest")).unwrap();
    assert_eq!(fixture.open().lease_fence().beyond(), Beyond::Believed(until));
}

#[test]
fn the_last_region_ends_where_the_arena_ends() {
    let fixture = Fixture::new();
    let capacity = ByteSize::new(3 * MIB + 4096);
    let options = SegmentOptions { capacity: Some(capacity), ..fixture.options() };
    let arena = Arena::open(&options).unwrap();
    let until = boot_time().after(LEASE_TTL_MAX);
    arena.lease_fence().raise(&[extent(3 * MIB + 4095, 1)], until);
    let pending = arena.lease_fence().pending(boot_time());
    assert_eq!(pending, [(extent(2 * MIB, MIB + 4096), until)]);
}

#[test]
fn the_lease_fence_of_another_boot_is_ignored() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let until = boot_time().after(LEASE_TTL_MAX);
    arena.lease_fence().raise(&[extent(0, 1)], until);
    drop(arena);
    rewrite_header(&fixture, |header| header[32] ^= 1);
    let arena = fixture.open();
    assert!(arena.reopened());
    assert_eq!(arena.lease_fence().origin(), LeaseFenceOrigin::OtherBoot);
    assert_eq!(arena.lease_fence().pending(Timestamp::default()), []);
}

#[test]
fn an_unreadable_lease_fence_covers_the_whole_arena_for_the_longest_lease() {
    type Damage = fn(&Fixture);
    let damages: [(&str, Damage); 5] = [
        ("missing", |fixture| std::fs::remove_file(fixture.private("horizon")).unwrap()),
        ("no regular file", |fixture| {
            std::fs::remove_file(fixture.private("horizon")).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", fixture.private("horizon")).unwrap();
        }),
        ("length", |fixture| fence_file(fixture).set_len(4095).unwrap()),
        ("corrupt", |fixture| fence_file(fixture).write_all_at(b"X", 0).unwrap()),
        ("version", |fixture| rewrite_header(fixture, |header| header[8] = 2)),
    ];
    for (which, (named, damage)) in damages.into_iter().enumerate() {
        let fixture = Fixture::new();
        drop(fixture.open());
        damage(&fixture);
        let before = boot_time();
        let arena = fixture.open();
        let LeaseFenceOrigin::Unreadable { cause, until } = arena.lease_fence().origin() else {
            panic!("damage {which}: {:?}", arena.lease_fence().origin());
        };
        assert!(cause.contains(named), "damage {which}: {cause}");
        let pending = arena.lease_fence().pending(before);
        let [(fenced, end)] = pending[..] else { panic!("damage {which}: {pending:?}") };
        assert_eq!((fenced, end), (extent(0, CAPACITY.bytes()), until));
        assert!(until >= before.after(LEASE_TTL_MAX) && until <= boot_time().after(LEASE_TTL_MAX));
        drop(arena);
        assert_eq!(fixture.open().lease_fence().origin(), LeaseFenceOrigin::Kept, "damage {which}");
    }
}

#[test]
fn an_unreadable_lease_fence_covers_the_leases_of_a_daemon_that_granted_longer_ones() {
    let fixture = Fixture::new();
    let longer = SegmentOptions { lease_ttl_max: LEASE_TTL_MAX * 3, ..fixture.options() };
    drop(fixture.open_with(&longer));
    // Each of the daemons after it keeps the time.
    for _ in 0..2 {
        std::fs::remove_file(fixture.private("horizon")).unwrap();
        let before = boot_time();
        let arena = fixture.open();
        let LeaseFenceOrigin::Unreadable { until, .. } = arena.lease_fence().origin() else {
            panic!("{:?}", arena.lease_fence().origin());
        };
        assert!(until >= before.after(LEASE_TTL_MAX * 3), "{until:?}");
    }
}

#[test]
fn a_lowered_fence_keeps_the_order_of_the_last_use_and_nothing_else() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let now = boot_time();
    let regions = [0, 1, 2].map(|region| extent(region << 21, 1 << 21));
    arena.lease_fence().raise(&regions[..1], now.after(Duration::from_secs(5)));
    arena.lease_fence().raise(&regions[1..2], now.after(Duration::from_secs(9)));
    arena.lease_fence().lower(now);
    assert!(arena.lease_fence().pending(now).is_empty());
    let [first, second, never] = regions.map(|region| arena.lease_fence().leased_until(&[region]));
    assert_eq!(second, now);
    assert_eq!(second.since(first), Duration::from_secs(4));
    assert_eq!(never, Timestamp::default());
    arena.lease_fence().lower(now);
    assert_eq!(arena.lease_fence().leased_until(&regions[1..2]), now, "once is enough");
}

fn fence_file(fixture: &Fixture) -> File {
    File::options().read(true).write(true).open(fixture.private("horizon")).unwrap()
}

/// Changes the header and makes its checksum hold again.
fn rewrite_header(fixture: &Fixture, change: impl FnOnce(&mut [u8])) {
    let file = fence_file(fixture);
    let mut header = [0; 48];
    file.read_exact_at(&mut header, 0).unwrap();
    change(&mut header[..40]);
    let sum = xxhash_rust::xxh3::xxh3_64(&header[..40]);
    header[40..].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
}

/// The file is one of a daemon of the first release: see `testing/segment_v1`. Only its boot is
/// made this one.
#[test]
fn the_lease_fence_of_the_first_release_is_read() {
    const OLD: &[u8] = include_bytes!("../../../../testing/segment_v1/horizon.bin");
    let fixture = Fixture::new();
    let capacity = ByteSize::kib(64);
    let options = SegmentOptions { capacity: Some(capacity), ..fixture.options() };
    drop(fixture.open_with(&options));
    std::fs::remove_file(fixture.private("longest")).unwrap();
    let file = fence_file(&fixture);
    let len = file.metadata().unwrap().len();
    let mut boot = [0; 8];
    file.read_exact_at(&mut boot, 32).unwrap();
    file.write_all_at(OLD, 0).unwrap();
    assert_eq!(file.metadata().unwrap().len(), len, "as long as ever");
    rewrite_header(&fixture, |header| header[32..].copy_from_slice(&boot));
    let arena = fixture.open_with(&options);
    assert_eq!(arena.lease_fence().origin(), LeaseFenceOrigin::Kept);
    // The lease of 20 s and the grace of 10 s, in the time of the machine that it was granted on.
    let deadline = Timestamp::from_nanos(2_318_843_796_271);
    let pending = arena.lease_fence().pending(Timestamp::default());
    assert_eq!(pending, [(extent(0, capacity.bytes()), deadline)]);
}
