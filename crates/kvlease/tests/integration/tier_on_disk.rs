//! A daemon with a tier on disk, in the confinement that containers have.

use kvlease_harness::{Daemon, Segment, await_that};
use kvlease_testing::{bytes, without_io_uring};
use tempfile::TempDir;

use crate::program::{launch, run_on};

/// Objects of 1 MiB, which an arena of 16 MiB has no room for.
const OBJECTS: u64 = 40;

/// Room for an object, which the daemon keeps free: a put takes the place of what was copied.
const ROOM: f64 = (1_u64 << 20) as f64;

/// Directory on the disk that the project is built on: a tmpfs is no disk.
pub(crate) fn disk() -> TempDir {
    TempDir::with_prefix_in("tier-", env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub(crate) fn settings(disk: &TempDir) -> [String; 3] {
    [
        format!("tier.nvme.path={}", disk.path().display()),
        "tier.nvme.capacity=128MiB".to_owned(),
        // Tests never depend on how fast the disk is.
        "tier.nvme.rate_min=none".to_owned(),
    ]
}

fn metric(daemon: &Daemon, series: &str) -> f64 {
    daemon.metric(series).unwrap()
}

/// Stores objects, each once there is room for it, so that all that leave are on the disk.
fn fill(daemon: &Daemon, content: impl Fn(u64) -> Vec<u8>) {
    for number in 0..OBJECTS {
        let put = run_on(daemon, &["put", &format!("k{number}")], &content(number));
        assert!(put.status.success(), "{put:?}");
        await_room(daemon);
    }
}

/// Waits until the next object takes free space, and not that of an object that is not copied yet.
fn await_room(daemon: &Daemon) {
    await_that("room in the arena", || metric(daemon, "kvlease_free_bytes") >= ROOM);
}

fn read_all(daemon: &Daemon, content: impl Fn(u64) -> Vec<u8>) {
    for number in 0..OBJECTS {
        let got = run_on(daemon, &["get", &format!("k{number}")], b"");
        assert!(got.status.success() && got.stdout == content(number), "{number}");
        // An object that came from the disk took space as well.
        await_room(daemon);
    }
}

#[test]
fn a_daemon_under_a_seccomp_filter_says_that_it_uses_threads_and_serves_every_byte() {
    let disk = disk();
    let launch = launch().capacity("16MiB").set(settings(&disk));
    // The daemon inherits the filter of the thread that starts it.
    let daemon = without_io_uring(|| Daemon::start(launch.clone())).unwrap();
    let log = daemon.log();
    assert!(log.contains("threads, direct"), "{log}");
    assert!(log.contains("the kernel refuses io_uring: Operation not permitted"), "{log}");
    let way = |way: &str| format!("kvlease_tier_way{{tier=\"nvme\",way=\"{way}\"}}");
    assert_eq!(metric(&daemon, &way("threads, direct")), 1.0);
    let content = |number| bytes(1 << 20, number);
    fill(&daemon, content);
    assert_eq!(metric(&daemon, "kvlease_tier_in_place_bytes_total{tier=\"nvme\"}"), 0.0);
    read_all(&daemon, content);
    assert!(metric(&daemon, "kvlease_tier_hits_total{tier=\"nvme\"}") > 0.0);
    drop(daemon);
    // Without the filter the same daemon on the same machine uses io_uring.
    let daemon = Daemon::start(launch).unwrap();
    let log = daemon.log();
    assert!(log.contains("way=io_uring"), "{log}");
}

#[test]
fn a_tier_on_a_read_only_file_system_ends_the_start_with_the_remedy() {
    let (disk, segment) = (disk(), Segment::new());
    let at = disk.path().display();
    let read_only = format!("mount --bind {at} {at} && mount -o remount,bind,ro {at}");
    let launch = launch().set(settings(&disk)).mounted(read_only);
    let output = launch.command(&segment).unwrap().output().unwrap();
    let word = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(73), "{word}");
    assert!(word.contains("`tier.nvme.path` is on a read-only file system: remount it"), "{word}");
}

#[test]
fn an_arena_of_huge_pages_and_the_device_exchange_every_byte_without_a_copy() {
    let disk = disk();
    let huge = "mount -t tmpfs -o huge=always,size=128m none /dev/shm";
    let launch = launch().capacity("16MiB").set(settings(&disk)).mounted(huge);
    let daemon = Daemon::start(launch).unwrap();
    let has_huge_pages = metric(&daemon, "kvlease_huge_pages") == 1.0;
    assert!(
        has_huge_pages,
        "this test needs huge pages of a tmpfs: transparent_hugepage/shmem_enabled"
    );
    // Of odd lengths: the last page of each is copied.
    let content = |number: u64| bytes((1 << 20) - number as usize, number);
    fill(&daemon, content);
    read_all(&daemon, content);
    let in_place = metric(&daemon, "kvlease_tier_in_place_bytes_total{tier=\"nvme\"}");
    let loaded = metric(&daemon, "kvlease_tier_loaded_bytes_total{tier=\"nvme\"}");
    assert!(in_place > loaded && loaded > 0.0, "in place {in_place}, loaded {loaded}");
    assert_eq!(metric(&daemon, "kvlease_tier_corrupt_total{tier=\"nvme\"}"), 0.0);
}
