//! Manifest of a daemon, read by its successor.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt, symlink},
};

use kvlease_arena::{Arena, ManifestOrigin, SegmentOptions};
use kvlease_types::{ByteSize, Checksum, SealedObject, Timestamp};

use crate::fixture::{CAPACITY, Fixture, extent, populate};

const MEMORY_MAX: ByteSize = ByteSize::mib(1);

fn object(key: &str) -> SealedObject<'_> {
    SealedObject {
        bucket: "b",
        key,
        extents: &[],
        len: ByteSize::ZERO,
        checksum: Checksum::new(1),
        generation: 1,
        created: Timestamp::from_nanos(1),
    }
}

/// Origin and keys that a daemon finds at its start.
fn found(arena: &Arena) -> (ManifestOrigin, Vec<String>) {
    let stored = arena.stored_manifest().unwrap();
    let mut keys = Vec::new();
    assert_eq!(stored.for_each(|object| keys.push(object.key.to_owned())), 0);
    (stored.origin(), keys)
}

/// An arena with a manifest of one object, as a daemon left it.
fn with_manifest(fixture: &Fixture) {
    let arena = fixture.open();
    let mut manifest = arena.new_manifest(MEMORY_MAX).unwrap();
    assert!(manifest.insert(0, &object("one")));
    arena.publish_manifest().unwrap();
}

#[test]
fn a_restarted_daemon_finds_the_record_until_it_gives_its_own_the_name() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    assert_eq!(found(&arena), (ManifestOrigin::Created, vec![]));
    drop(arena);
    assert_eq!(found(&fixture.open()), (ManifestOrigin::Missing, vec![]));
    with_manifest(&fixture);
    // This one is killed before it has taken everything over.
    let arena = fixture.open();
    assert_eq!(found(&arena), (ManifestOrigin::Kept, vec!["one".to_owned()]));
    assert!(arena.new_manifest(MEMORY_MAX).unwrap().insert(0, &object("two")));
    drop(arena);
    let arena = fixture.open();
    assert_eq!(found(&arena), (ManifestOrigin::Kept, vec!["one".to_owned()]));
    let mut manifest = arena.new_manifest(MEMORY_MAX).unwrap();
    arena.publish_manifest().unwrap();
    assert!(manifest.insert(0, &object("three")));
    drop(arena);
    assert_eq!(found(&fixture.open()), (ManifestOrigin::Kept, vec!["three".to_owned()]));
}

#[test]
fn what_is_no_record_of_this_arena_is_recognised() {
    let fixture = Fixture::new();
    with_manifest(&fixture);
    let path = fixture.private("record");
    let whole = fs::read(&path).unwrap();
    let with = |at: u64, bytes: &[u8]| {
        fs::write(&path, &whole).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().write_all_at(bytes, at).unwrap();
        found(&fixture.open()).0
    };
    assert_eq!(with(0, b"K"), ManifestOrigin::Kept);
    assert_eq!(with(0, b"X"), ManifestOrigin::Corrupt);
    assert_eq!(with(8, &2_u32.to_le_bytes()), ManifestOrigin::Corrupt);
    let golden = include_bytes!("../../testdata/manifest-v1.bin");
    assert_eq!(with(0, golden), ManifestOrigin::OtherBoot);
    fs::write(&path, b"").unwrap();
    assert_eq!(found(&fixture.open()).0, ManifestOrigin::Corrupt);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(found(&fixture.open()).0, ManifestOrigin::Corrupt);
    fs::remove_dir(&path).unwrap();
    symlink("/etc/hostname", &path).unwrap();
    assert_eq!(found(&fixture.open()).0, ManifestOrigin::Corrupt);
}

#[test]
fn the_record_of_another_arena_is_not_taken_for_that_of_this_one() {
    let (one, other) = (Fixture::new(), Fixture::new());
    with_manifest(&one);
    with_manifest(&other);
    fs::copy(one.private("record"), other.private("record")).unwrap();
    assert_eq!(found(&other.open()), (ManifestOrigin::OtherArena, vec![]));
}

#[test]
fn an_arena_that_was_cut_shorter_gets_its_size_back() {
    for len in [CAPACITY.bytes() / 2 + 1, 0] {
        let fixture = Fixture::new();
        let arena = fixture.open();
        populate(&arena);
        arena.new_manifest(MEMORY_MAX).unwrap();
        arena.publish_manifest().unwrap();
        assert!(arena.is_whole().unwrap());
        let segment = OpenOptions::new().write(true).open(fixture.public()).unwrap();
        segment.set_len(len).unwrap();
        assert!(!arena.is_whole().unwrap());
        drop(arena);
        let options = SegmentOptions { capacity: Some(CAPACITY), ..fixture.options() };
        let arena = fixture.open_with(&options);
        assert_eq!((arena.capacity(), arena.was_shrunk_to()), (CAPACITY, Some(ByteSize::new(len))));
        assert_eq!(arena.populated().bytes(), len.next_multiple_of(4096));
        assert!(arena.is_whole().unwrap());
        drop(arena);
        assert_eq!(fixture.open().was_shrunk_to(), None);
    }
}

#[test]
fn every_origin_is_one_line_that_says_why() {
    let version = ManifestOrigin::OtherVersion(7).to_string();
    assert!(version.contains("version 7") && version.contains("version 1"), "{version}");
}

#[test]
fn what_an_earlier_daemon_populated_is_usable_at_once() {
    let fixture = Fixture::new();
    let options = SegmentOptions { capacity: Some(CAPACITY), ..fixture.options() };
    let arena = fixture.open_with(&options);
    assert_eq!(arena.populated(), ByteSize::ZERO);
    populate(&arena);
    drop(arena);
    let arena = fixture.open();
    assert_eq!(arena.populated(), CAPACITY);
    let mut digest = kvlease_sys::Digest::new();
    arena.digest(extent(0, CAPACITY.bytes()), &mut digest);
    // The pages of this mapping are faulted in all the same.
    assert!(!arena.populate_next().unwrap().is_complete() || CAPACITY < ByteSize::mib(65));
}
