//! Building, reopening and refusing a segment.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use kvlease_arena::{Arena, ArenaError, LinkStatus, SegmentOptions};
use kvlease_sys::Digest;
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use crate::fixture::{CAPACITY, Fixture, extent, populate, read, write};

#[test]
fn a_new_segment_has_its_name_size_mode_and_both_links() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    assert!(!arena.reopened());
    assert_eq!(arena.capacity(), CAPACITY);
    let public = fs::metadata(fixture.public()).unwrap();
    assert_eq!((public.len(), public.mode() & 0o7777), (CAPACITY.bytes(), 0o600));
    assert_eq!(public.nlink(), 2);
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Intact);
    assert_eq!(fs::metadata(fixture.private("arena")).unwrap().ino(), public.ino());
    assert_eq!(fs::metadata(fixture.private("")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_restart_keeps_inode_and_bytes() {
    let fixture = Fixture::new();
    let bytes = Draws::seeded(1).bytes(3_000_000);
    let arena = fixture.open();
    populate(&arena);
    let checksum = write(&arena, 4096, &bytes);
    assert_eq!(checksum, Digest::of(&bytes));
    let inode = fixture.inode();
    drop(arena);

    let arena = fixture.open();
    assert!(arena.reopened());
    assert_eq!(fixture.inode(), inode);
    assert_eq!(read(&arena, 4096, bytes.len()), bytes, "before the arena is populated again");
    populate(&arena);
    assert_eq!(read(&arena, 4096, bytes.len()), bytes, "after the arena is populated again");
    let mut digest = Digest::new();
    arena.digest(extent(4096, bytes.len() as u64), &mut digest);
    assert_eq!(digest.finish(), checksum);
}

#[test]
fn the_error_of_a_second_daemon_names_the_owner_of_the_segment() {
    let fixture = Fixture::new();
    let _owner = fixture.open();
    let (error, line) = fixture.refusal(&fixture.options());
    assert!(matches!(error, ArenaError::InUse { pid, .. } if pid == std::process::id()), "{line}");
    assert!(line.contains("`shared_memory_name`"), "{line}");
}

#[test]
fn a_name_that_something_else_has_is_left_alone() {
    let fixture = Fixture::new();
    fs::write(fixture.public(), b"precious").unwrap();
    let (error, line) = fixture.refusal(&fixture.options());
    assert!(matches!(error, ArenaError::NameTaken { .. }), "{line}");
    assert_eq!(fs::read(fixture.public()).unwrap(), b"precious");
    fixture.remove_public();

    drop(fixture.open());
    fixture.remove_public();
    symlink("/dev/null", fixture.public()).unwrap();
    let (error, line) = fixture.refusal(&fixture.options());
    assert!(matches!(error, ArenaError::NameTaken { .. }), "after a restart: {line}");
}

#[test]
fn a_size_that_differs_from_the_existing_one_is_refused_with_its_remedy() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let options = SegmentOptions { capacity: Some(ByteSize::mib(16)), ..fixture.options() };
    let (_, line) = fixture.refusal(&options);
    assert!(line.contains("capacity=`8MiB`") && line.contains("capacity=`16MiB`"), "{line}");
    assert!(line.contains(fixture.public().to_str().unwrap()), "{line}");
    assert_eq!(fs::metadata(fixture.public()).unwrap().len(), CAPACITY.bytes());

    let same = SegmentOptions { capacity: Some(CAPACITY), ..fixture.options() };
    assert!(Arena::open(&same).unwrap().reopened());
    let other_default = SegmentOptions { create_capacity: ByteSize::mib(16), ..fixture.options() };
    assert_eq!(Arena::open(&other_default).unwrap().capacity(), CAPACITY);
}

#[test]
fn a_size_without_a_page_or_beyond_the_file_system_is_refused_before_a_file_exists() {
    let fixture = Fixture::new();
    for (capacity, remedy) in
        [(ByteSize::new(4095), "larger"), (ByteSize::gib(1 << 30), "mount -o remount,size=")]
    {
        let options = SegmentOptions { capacity: Some(capacity), ..fixture.options() };
        let (_, line) = fixture.refusal(&options);
        assert!(line.starts_with("`capacity`") && line.contains(remedy), "{line}");
        assert!(!fixture.public().exists() && !fixture.private("arena.new").exists());
    }
}

#[test]
fn a_start_that_was_killed_half_way_leaves_nothing_behind() {
    let fixture = Fixture::new();
    drop(fixture.open());
    fixture.remove_public();
    fs::rename(fixture.private("arena"), fixture.private("arena.new")).unwrap();
    fs::rename(fixture.private("horizon"), fixture.private("horizon.new")).unwrap();
    let arena = fixture.open();
    assert!(!arena.reopened());
    assert!(!fixture.private("arena.new").exists() && !fixture.private("horizon.new").exists());

    let inode = fixture.inode();
    drop(arena);
    fixture.remove_public();
    let arena = fixture.open();
    assert!(arena.reopened(), "it was whole, and lacked only its public name");
    assert_eq!(fixture.inode(), inode);
    assert!(fixture.public().exists());
}

#[test]
fn the_mode_holds_whatever_it_was_and_odd_owners_are_errors() {
    let fixture = Fixture::new();
    let options = SegmentOptions { mode: 0o666, ..fixture.options() };
    drop(Arena::open(&options).unwrap());
    let mode = || fs::metadata(fixture.public()).unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o666);
    drop(fixture.open());
    assert_eq!(mode(), 0o600);
    let own = fs::metadata(fixture.public()).unwrap();
    let options =
        SegmentOptions { uid: Some(own.uid()), gid: Some(own.gid()), ..fixture.options() };
    drop(Arena::open(&options).unwrap());
    // The id that the kernel takes for "none" can never be set.
    let options = SegmentOptions { gid: Some(u32::MAX - 1), ..fixture.options() };
    if let Err(error) = Arena::open(&options) {
        assert!(error.to_string().starts_with("`segment_gid`"), "{error}");
    } else {
        assert_eq!(fs::metadata(fixture.public()).unwrap().gid(), u32::MAX - 1);
    }
}

#[test]
fn a_private_directory_that_others_could_have_touched_is_refused() {
    let fixture = Fixture::new();
    symlink("/tmp", fixture.private("").parent().unwrap().join(".kvlease.shared_memory")).unwrap();
    let (error, line) = fixture.refusal(&fixture.options());
    assert!(matches!(error, ArenaError::Untrusted { .. }), "{line}");

    let fixture = Fixture::new();
    fs::create_dir(fixture.private("")).unwrap();
    fs::set_permissions(fixture.private(""), fs::Permissions::from_mode(0o755)).unwrap();
    let (error, line) = fixture.refusal(&fixture.options());
    assert!(matches!(error, ArenaError::Untrusted { .. }), "{line}");
}

#[test]
fn writes_outside_the_populated_part_panic_before_they_touch_memory() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let panics = |at, len: usize| {
        let bytes = vec![1; len];
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write(&arena, at, &bytes)))
            .is_err()
    };
    assert!(panics(0, 1), "nothing is populated yet");
    populate(&arena);
    assert!(!panics(CAPACITY.bytes() - 1, 1));
    assert!(panics(CAPACITY.bytes(), 1));
    assert!(panics(CAPACITY.bytes() - 1, 2));
    assert!(panics(u64::MAX, 2));
    let outside = extent(CAPACITY.bytes() - 1, 2);
    let read = || arena.read(outside, &mut [0; 2], None);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
}
