//! Transfers between the device and the memory of a source or a destination, without a copy.

use std::{
    fs::File,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kvlease_nvme::{NvmeConfig, NvmeTier};
use kvlease_sys::{Access, Digest, MappedExtent, Mapping};
use kvlease_tier::{
    Destination, Loaded, Object, Presence, Source, SourceChanged, Stored, Tier, TierError,
};
use kvlease_types::{ByteSize, Extent, Offset};
use tempfile::TempDir;

use crate::{
    fixture::{BUCKET, block_on, bytes, load, name, object, store},
    opening::{config, folder},
};

const PAGE: u64 = 4096;

/// Length of an extent: no piece is a multiple of it, and no object's pages lie in a row.
const EXTENT: u64 = 37 * PAGE;

/// Room for one object.
const ARENA: u64 = 8 << 20;

/// Memory as the arena is: a file in memory, here with extents in the reverse order.
struct Arena {
    file: File,
    mapping: Arc<Mapping>,
}

impl Arena {
    fn new() -> Self {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(ARENA).unwrap();
        let mapping = Mapping::new(file.as_fd(), ARENA as usize, Access::ReadWrite).unwrap();
        Self { file, mapping: Arc::new(mapping) }
    }

    fn with(bytes: &[u8]) -> Self {
        let arena = Self::new();
        for (at, chunk) in (0..).step_by(EXTENT as usize).zip(bytes.chunks(EXTENT as usize)) {
            let place = run(at, EXTENT).offset.bytes();
            arena.file.write_all_at(chunk, place).unwrap();
        }
        arena
    }

    fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (at, chunk) in (0..).step_by(EXTENT as usize).zip(bytes.chunks_mut(EXTENT as usize)) {
            let place = run(at, EXTENT).offset.bytes();
            self.file.read_exact_at(chunk, place).unwrap();
        }
        bytes
    }

    fn place(&self) -> Place {
        Place {
            mapping: Arc::clone(&self.mapping),
            at: 0,
            in_place: Arc::default(),
            gives: true,
            notices: false,
            changed: Arc::default(),
            is_complete: Arc::default(),
        }
    }
}

/// Place of an object's bytes from one on, within an extent.
fn run(at: u64, len: u64) -> Extent {
    let within = at % EXTENT;
    let extent = ARENA - (at / EXTENT + 1) * EXTENT;
    Extent::new(Offset::new(extent + within), ByteSize::new(len.min(EXTENT - within)))
}

/// Object in the arena, as a source and as a destination.
#[derive(Debug)]
struct Place {
    mapping: Arc<Mapping>,
    at: u64,
    /// Bytes that were moved without a copy.
    in_place: Arc<AtomicU64>,
    /// Whether it gives its memory, as a source.
    gives: bool,
    /// Whether it notices changes, as a source.
    notices: bool,
    /// Whether the bytes became another object's.
    changed: Arc<AtomicBool>,
    is_complete: Arc<AtomicBool>,
}

impl Place {
    fn runs(&mut self, mut len: u64) -> Vec<Extent> {
        let mut runs = Vec::new();
        while len > 0 {
            let run = run(self.at, len);
            self.at += run.len.bytes();
            len -= run.len.bytes();
            runs.push(run);
        }
        runs
    }

    fn given(&mut self, len: u64) -> Vec<MappedExtent> {
        assert!(len > 0 && len.is_multiple_of(PAGE) && self.at.is_multiple_of(PAGE));
        self.in_place.fetch_add(len, Ordering::Relaxed);
        let runs = self.runs(len);
        runs.into_iter().map(|run| MappedExtent::new(&self.mapping, run).unwrap()).collect()
    }
}

impl Source for Place {
    fn read(
        &mut self,
        mut into: &mut [u8],
        mut digest: Option<&mut Digest>,
    ) -> Result<(), SourceChanged> {
        for run in self.runs(into.len() as u64) {
            let (now, later) = into.split_at_mut(run.len.bytes() as usize);
            self.mapping.copy_out(run, now, digest.as_deref_mut());
            into = later;
        }
        Ok(())
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        self.gives.then(|| self.given(len))
    }

    fn notices_changes(&self) -> bool {
        self.notices
    }

    fn is_unchanged(&self) -> bool {
        !self.changed.load(Ordering::Relaxed)
    }
}

impl Destination for Place {
    fn write(&mut self, mut bytes: &[u8], digest: &mut Digest) {
        for run in self.runs(bytes.len() as u64) {
            let (now, later) = bytes.split_at(run.len.bytes() as usize);
            self.mapping.copy_in(run.offset, now, Some(digest));
            bytes = later;
        }
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        Some(self.given(len))
    }

    fn complete(self: Box<Self>) {
        self.is_complete.store(true, Ordering::Relaxed);
    }
}

async fn store_from(tier: &NvmeTier, object: &Object, place: Place) -> Result<Stored, TierError> {
    tier.store(object, Box::new(place)).await
}

fn open(folder: &TempDir) -> NvmeTier {
    NvmeTier::open(config(folder)).unwrap().0
}

#[test]
fn objects_of_every_length_move_without_a_copy_and_are_the_same_by_either_way() {
    let folder = folder();
    let tier = open(&folder);
    let mib = 1 << 20;
    for len in
        [0, 1, 4095, 4096, 4097, 150_000, mib - 1, mib, mib + 1, 3 * mib + 4096, 3 * mib + 700_001]
    {
        let (from_arena, from_buffer) = (format!("a-{len}"), format!("b-{len}"));
        let expected = bytes(&from_arena, 0, len);
        let whole = len as u64 - len as u64 % PAGE;
        // An object that shares the header's block is not aligned.
        let whole = if len < 4096 { 0 } else { whole };
        let arena = Arena::with(&expected);
        let place = arena.place();
        let moved = Arc::clone(&place.in_place);
        let stored = object(&from_arena, &expected);
        block_on(store_from(&tier, &stored, place)).unwrap();
        assert_eq!(moved.load(Ordering::Relaxed), whole, "store of {len}");
        // Written in place and read by a copy, and the other way round.
        let copied = block_on(load(&tier, &from_arena, stored.stat)).unwrap();
        assert!(copied.as_ref() == Some(&expected), "{len}");
        block_on(store(&tier, &from_buffer, &expected)).unwrap();
        let arena = Arena::new();
        let place = arena.place();
        let (moved, complete) = (Arc::clone(&place.in_place), Arc::clone(&place.is_complete));
        let loaded = block_on(tier.load(&name(&from_buffer), stored.stat, Box::new(place)));
        assert_eq!(loaded.unwrap(), Loaded::Complete);
        assert!(complete.load(Ordering::Relaxed));
        assert_eq!(moved.load(Ordering::Relaxed), whole, "load of {len}");
        assert!(arena.bytes(len) == expected, "{len}");
    }
}

#[test]
fn bytes_that_changed_while_they_were_taken_are_not_kept_also_after_a_restart() {
    let folder = folder();
    let mut tier = open(&folder);
    let content = bytes("a", 0, 3 << 20);
    let wanted = object("a", &content);
    let arena = Arena::with(&content);
    for (gives, notices) in [(true, false), (true, true), (false, true)] {
        let place = Place { gives, notices, ..arena.place() };
        place.changed.store(true, Ordering::Relaxed);
        let stored = block_on(store_from(&tier, &wanted, place));
        assert!(matches!(stored, Err(TierError::SourceChanged(_))), "{gives} {notices} {stored:?}");
        assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
        drop(tier);
        tier = open(&folder);
        assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
    }
    // Bytes that were others from the start are not even written whole.
    let other = Arena::with(&bytes("other", 0, 3 << 20));
    let stored = block_on(store_from(&tier, &wanted, other.place()));
    assert!(matches!(stored, Err(TierError::SourceChanged(_))), "{stored:?}");
    block_on(store_from(&tier, &wanted, arena.place())).unwrap();
    assert_eq!(block_on(load(&tier, "a", wanted.stat)).unwrap(), Some(content));
}

/// Changed in the last moment: when the device has read all of the memory.
#[derive(Debug)]
struct ChangedAtTheEnd {
    place: Place,
    asked: AtomicU64,
}

impl Source for ChangedAtTheEnd {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        self.place.read(into, digest)
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        Source::memory(&mut self.place, len)
    }

    fn notices_changes(&self) -> bool {
        true
    }

    fn is_unchanged(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) == 0
    }
}

#[test]
fn a_change_behind_the_last_piece_is_noticed_before_the_object_is_published() {
    let folder = folder();
    let tier = open(&folder);
    let content = bytes("a", 0, 3 << 20);
    let wanted = object("a", &content);
    let arena = Arena::with(&content);
    let source = ChangedAtTheEnd { place: arena.place(), asked: AtomicU64::new(0) };
    let stored = block_on(tier.store(&wanted, Box::new(source)));
    assert!(matches!(stored, Err(TierError::SourceChanged(_))), "{stored:?}");
    assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
    drop(tier);
    assert_eq!(open(&folder).presence(BUCKET, "a"), Presence::Absent);
}

#[test]
fn a_source_that_notices_changes_is_summed_by_the_load_alone() {
    let folder = folder();
    let tier = open(&folder);
    let content = bytes("a", 0, 3 << 20);
    for gives in [true, false] {
        let key = format!("a-{gives}");
        let wanted = object(&key, &content);
        // Other bytes than the checksum's, as they are after a bit flipped in memory.
        let other = Arena::with(&bytes("other", 0, 3 << 20));
        let place = Place { gives, notices: true, ..other.place() };
        block_on(store_from(&tier, &wanted, place)).unwrap();
        let loaded = block_on(load(&tier, &key, wanted.stat));
        assert!(matches!(loaded, Err(TierError::Corrupt { .. })), "{loaded:?}");
        assert_eq!(tier.presence(BUCKET, &key), Presence::Absent);
    }
}

#[test]
fn a_corrupt_object_completes_no_destination() {
    let folder = folder();
    let tier = open(&folder);
    let content = bytes("a", 0, 3 << 20);
    let wanted = object("a", &content);
    block_on(store(&tier, "a", &content)).unwrap();
    let file = File::options().write(true).open(folder.path().join("kvlease.tier")).unwrap();
    // The first segment's header, the record's header, and some pages.
    file.write_all_at(&[7; 512], (1 << 20) + 10 * PAGE).unwrap();
    let arena = Arena::new();
    let place = arena.place();
    let complete = Arc::clone(&place.is_complete);
    let loaded = block_on(tier.load(&name("a"), wanted.stat, Box::new(place)));
    assert!(matches!(loaded, Err(TierError::Corrupt { .. })), "{loaded:?}");
    assert!(!complete.load(Ordering::Relaxed));
    assert_eq!(tier.presence(BUCKET, "a"), Presence::Absent);
}

#[test]
fn a_load_that_is_given_up_keeps_its_destination_until_the_device_has_ended() {
    let folder = folder();
    let tier = NvmeTier::open(NvmeConfig { capacity: Some(ByteSize::mib(256)), ..config(&folder) })
        .unwrap()
        .0;
    let len = 7 << 20;
    let content = bytes("a", 0, len);
    let wanted = object("a", &content);
    block_on(store(&tier, "a", &content)).unwrap();
    for pause in 0..40 {
        let arena = Arena::new();
        let place = arena.place();
        // The destination has the one handle beside this one, and each transfer has one of the mapping.
        let kept = Arc::clone(&place.is_complete);
        let name = name("a");
        let loading = tier.load(&name, wanted.stat, Box::new(place));
        let limit = Duration::from_micros(pause * 50);
        let _ = block_on(async { tokio::time::timeout(limit, loading).await });
        while Arc::strong_count(&kept) > 1 {
            std::thread::yield_now();
        }
        // The destination is gone, so its memory may be another object's: nothing writes to it.
        arena.mapping.copy_in(Offset::new(0), &vec![9; ARENA as usize], None);
        assert_eq!(Arc::strong_count(&arena.mapping), 1, "a transfer is under way still");
        let mut seen = vec![0; ARENA as usize];
        arena.file.read_exact_at(&mut seen, 0).unwrap();
        assert!(seen.iter().all(|byte| *byte == 9), "pause {pause}");
    }
}
