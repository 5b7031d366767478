//! The manifest without an arena: its bytes, and the reading of bytes that are not a manifest.

use std::os::unix::fs::FileExt;

use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Checksum, Extent, Offset, SealedObject, Timestamp};

use super::{
    entry, file,
    layout::{CELL_LEN, CELL_ROOM, HEADER_CELLS},
    *,
};

/// Made by another program after the tables of the module: an entry of one cell, one of two, one
/// that was deleted, and one without extents.
const GOLDEN: &[u8] = include_bytes!("../../testdata/manifest-v1.bin");

const HEADER: Header =
    Header { capacity: ByteSize::gib(1), inode: 77, boot: 0x0123_4567_89ab_cdef };

fn extent(offset: u64, len: u64) -> Extent {
    Extent::new(Offset::new(offset), ByteSize::new(len))
}

/// The objects of the golden file.
fn golden() -> Vec<(String, Vec<Extent>, u64, u64, u64)> {
    let several = vec![extent(0, 4096), extent(8192, 4096), extent(65536, 10)];
    vec![
        ("a key".into(), vec![extent(8192, 5000)], 5000, 0x1122_3344_5566_7788, 7),
        ("k".repeat(300), several, 8202, 0x99, 8),
        ("empty".into(), vec![], 0, 0x2d06_8005_38d3_94c2, 9),
    ]
}

fn object(
    (key, extents, len, checksum, generation): &(String, Vec<Extent>, u64, u64, u64),
) -> SealedObject<'_> {
    SealedObject {
        bucket: if key.len() == 300 { "bücket" } else { "lmcache" },
        key,
        extents,
        len: ByteSize::new(*len),
        checksum: Checksum::new(*checksum),
        generation: *generation,
        created: Timestamp::from_nanos((generation - 6) * 1000),
    }
}

/// The objects in the bytes of a manifest, by generation, and how many entries are not whole.
fn seen(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut objects = Vec::new();
    let broken = entry::for_each(bytes, |object| {
        objects.push((object.generation, format!("{object:?}")));
    });
    objects.sort();
    (objects.into_iter().map(|(_, object)| object).collect(), broken)
}

fn shown(objects: &[(String, Vec<Extent>, u64, u64, u64)]) -> Vec<String> {
    objects.iter().map(|one| format!("{:?}", object(one))).collect()
}

/// A manifest in a file without a name, and how to read that.
fn manifest_of(memory_max: ByteSize) -> (Manifest, impl Fn() -> Vec<u8>) {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let manifest =
        Manifest::new(file::over(file.try_clone().unwrap(), &HEADER, memory_max).unwrap());
    let bytes = move || {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    (manifest, bytes)
}

#[test]
fn the_manifest_of_version_1_is_read() {
    assert_eq!(HEADER.judge(GOLDEN), ManifestOrigin::Kept);
    assert_eq!(seen(GOLDEN), (shown(&golden()), 0));
}

#[test]
fn what_is_written_is_what_the_other_program_wrote() {
    let (mut manifest, bytes) = manifest_of(ByteSize::kib(64));
    let [first, second, third] = golden().try_into().unwrap();
    assert!(manifest.insert(0, &object(&first)));
    let header_and_first = 17 * CELL_LEN;
    assert_eq!(bytes()[..header_and_first], GOLDEN[..header_and_first]);
    assert!(manifest.insert(5, &object(&second)) && manifest.insert(2, &object(&third)));
    assert_eq!(seen(&bytes()), (shown(&golden()), 0));
}

#[test]
fn a_deleted_entry_is_gone_and_its_cells_are_used_again() {
    let (mut manifest, bytes) = manifest_of(ByteSize::kib(64));
    let [first, second, third] = golden().try_into().unwrap();
    for (slot, one) in [&first, &second, &third].into_iter().enumerate() {
        assert!(manifest.insert(slot as u32, &object(one)));
    }
    manifest.delete(1);
    manifest.delete(1);
    manifest.delete(99);
    assert_eq!(seen(&bytes()), (shown(&[first.clone(), third.clone()]), 0));
    // In the slot of another object: that one is deleted first.
    assert!(manifest.insert(0, &object(&second)));
    assert_eq!(seen(&bytes()), (shown(&[second.clone(), third.clone()]), 0));
    for _ in 0..1_000 {
        assert!(manifest.insert(0, &object(&second)));
    }
    assert_eq!(seen(&bytes()), (shown(&[second, third]), 0));
    assert!(manifest.file().take().unwrap() < HEADER_CELLS + 8, "cells are used again");
}

#[test]
fn a_full_record_says_so_and_keeps_what_it_has() {
    let (mut manifest, bytes) = manifest_of(ByteSize::new(CELL_ROOM as u64));
    let [first, second, third] = golden().try_into().unwrap();
    assert!(manifest.insert(0, &object(&first)));
    assert!(!manifest.insert(1, &object(&second)), "it takes two cells, and one is left");
    assert_eq!(seen(&bytes()), (shown(std::slice::from_ref(&first)), 0));
    assert!(manifest.insert(1, &object(&third)), "the cell that was left is free again");
    assert!(!manifest.insert(2, &object(&third)));
    assert_eq!(seen(&bytes()), (shown(&[first, third]), 0));
}

#[test]
fn an_entry_with_any_byte_changed_is_left_out() {
    let whole = shown(&golden());
    for at in HEADER_CELLS as usize * CELL_LEN..GOLDEN.len() {
        for bit in [1, 0x80] {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= bit;
            let (objects, broken) = seen(&bytes);
            assert!(objects.iter().all(|object| whole.contains(object)), "byte {at}");
            // Padding, and cells that belong to no entry, do not count.
            assert!(objects.len() as u64 + broken >= whole.len() as u64, "byte {at}");
        }
    }
}

#[test]
fn a_record_that_ends_early_loses_only_what_is_behind() {
    for len in 0..GOLDEN.len() {
        let (objects, _) = seen(&GOLDEN[..len]);
        assert!(objects.iter().all(|object| shown(&golden()).contains(object)), "{len} bytes");
    }
}

#[test]
fn whatever_the_bytes_are_nothing_panics() {
    let mut draws = Draws::seeded(0x5ea1);
    for _ in 0..20_000 {
        let mut bytes = GOLDEN.to_vec();
        let len = bytes.len();
        for _ in 0..=draws.below(8) {
            // Numbers that lengths and chains are made of, more often than others.
            let at = 4096 + draws.index(len - 4096);
            bytes[at] = [0, 1, 16, 17, 0xff, draws.next() as u8][draws.index(6)];
        }
        // Sums that hold: what is behind them is looked at.
        if !draws.one_in(4) {
            entry::seal(&mut bytes);
        }
        let (objects, broken) = seen(&bytes);
        assert!(objects.len() as u64 + broken <= 5);
    }
}
