//! The published index: what readers of other processes find in it, and what they refuse.

use std::{
    collections::HashMap,
    fs::File,
    io::ErrorKind,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use kvlease_arena::{PublishedIndex, remove_segment};
use kvlease_attach::{IndexView, PublishedObject};
use kvlease_sys::{FingerprintKey, IndexTable};
use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Checksum, Epoch, Extent, Offset, SealedObject, Timestamp};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::fixture::Fixture;

const KEY: FingerprintKey = FingerprintKey::new([3; FingerprintKey::LEN]);
const EPOCH: Epoch = Epoch::new(0xfeed);
const BUCKET: &str = "bucket";

fn extent(generation: u64) -> Extent {
    Extent::new(Offset::new(generation * 4096), ByteSize::new(100 + generation))
}

/// An object whose every field follows from its generation.
fn object<'a>(key: &'a str, generation: u64, extents: &'a [Extent]) -> SealedObject<'a> {
    SealedObject {
        bucket: BUCKET,
        key,
        extents,
        len: ByteSize::new(extents.iter().map(|extent| extent.len.bytes()).sum()),
        checksum: Checksum::new(!generation),
        generation,
        created: Timestamp::default(),
    }
}

fn publish(index: &PublishedIndex, slot: u32, key: &str, generation: u64) -> bool {
    index.publish(slot, &object(key, generation, &[extent(generation)]), true)
}

fn passed(index: &PublishedIndex) -> OwnedFd {
    index.descriptor().try_clone_to_owned().unwrap()
}

/// A view of the index in an arena of this daemon.
fn view(index: &PublishedIndex, fixture: &Fixture) -> IndexView {
    let arena = fixture.open();
    arena.incarnation().begin(EPOCH);
    let incarnation = (arena.incarnation().share().unwrap(), EPOCH);
    IndexView::from_descriptors((passed(index), index.slots(), KEY), incarnation, BUCKET).unwrap()
}

#[test]
fn a_view_finds_what_the_daemon_published_and_did_not_withdraw() {
    let slots = 512;
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(slots, KEY).unwrap());
    let view = view(&index, &fixture);
    let mut draws = Draws::seeded(14);
    let mut held: HashMap<u32, (String, u64)> = HashMap::new();
    for generation in 1..20_000 {
        let slot = draws.index(slots as usize) as u32;
        if let Some((key, _)) = held.remove(&slot) {
            index.withdraw(slot);
            assert_eq!(view.find(&key), None);
        } else {
            let key = format!("key {generation}");
            assert!(publish(&index, slot, &key, generation));
            held.insert(slot, (key, generation));
        }
    }
    assert!(held.len() > 100);
    for (slot, (key, generation)) in &held {
        let found = PublishedObject {
            slot: *slot,
            generation: *generation,
            extent: extent(*generation),
            checksum: Checksum::new(!generation),
            leased_only: false,
        };
        assert_eq!(view.find(key), Some(found), "{key}");
    }
    assert_eq!(view.find("key 0"), None);
}

#[test]
fn the_same_key_of_another_bucket_is_another_object() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let view = view(&index, &fixture);
    let other = SealedObject { bucket: "other", ..object("key", 1, &[]) };
    assert!(index.publish(0, &other, true));
    assert_eq!(view.find("key"), None);
    assert!(publish(&index, 1, "key", 2));
    assert_eq!(view.find("key").unwrap().generation, 2);
}

#[test]
fn objects_that_a_reader_cannot_read_for_itself_can_be_looked_up_only() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let view = view(&index, &fixture);
    let parts = [extent(1), extent(9)];
    assert!(index.publish(0, &object("parts", 1, &parts), true));
    assert!(index.publish(1, &object("restored", 2, &parts[..1]), false));
    assert!(index.publish(2, &object("empty", 3, &[]), true));
    let found = view.find("parts").unwrap();
    assert!(found.leased_only && found.len() == ByteSize::new(101 + 109));
    assert!(view.find("restored").unwrap().leased_only);
    assert!(view.find("empty").is_some_and(|empty| !empty.leased_only && empty.is_empty()));

    index.note_verified(1, &object("restored", 2, &parts[..1]));
    assert!(!view.find("restored").unwrap().leased_only);
    // Of several extents, or of another object by now.
    index.note_verified(0, &object("parts", 1, &parts));
    assert!(view.find("parts").unwrap().leased_only);
    index.withdraw(1);
    index.note_verified(1, &object("restored", 2, &parts[..1]));
    assert_eq!(view.find("restored"), None);
    index.withdraw(1);
}

/// All keys have one chain in an index of one slot a chain: the longest is bounded.
#[test]
fn a_chain_that_is_full_takes_no_more_and_names_what_it_has() {
    let slots = 64;
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(slots, KEY).unwrap());
    let view = view(&index, &fixture);
    let fingerprints = KEY.of_bucket(BUCKET);
    let collide = |key: &String| fingerprints.of_key(key).low % slots == 5;
    let keys: Vec<String> =
        (0..).map(|number| number.to_string()).filter(collide).take(20).collect();
    for (slot, key) in (0..).zip(&keys) {
        let fits = publish(&index, slot, key, u64::from(slot) + 1);
        assert_eq!(fits, (slot as usize) < IndexTable::CHAIN_MAX, "{slot}");
    }
    // From the end, from the middle, and from the front.
    for slot in [0, 7, 15, 8] {
        index.withdraw(slot);
    }
    for (slot, key) in (0..).zip(&keys) {
        let there = slot < 16 && ![0, 7, 15, 8].contains(&slot);
        assert_eq!(view.find(key).map(|found| found.slot), there.then_some(slot), "{slot}");
    }
    assert!(publish(&index, 20, &keys[16], 99));
    assert_eq!(view.find(&keys[16]).unwrap().generation, 99);
}

#[test]
fn an_index_is_of_one_incarnation() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let view = view(&index, &fixture);
    assert!(view.is_current());
    let next = fixture.open();
    assert!(view.is_current(), "the next daemon has written nothing yet");
    next.incarnation().begin(Epoch::new(0xbeef));
    assert!(!view.is_current());
}

#[test]
fn the_removal_of_the_segment_ends_its_index() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let view = view(&index, &fixture);
    assert!(view.is_current());
    assert!(remove_segment(fixture.dir(), &"shared_memory".parse().unwrap()).unwrap());
    assert!(!view.is_current());
}

#[test]
fn a_file_of_the_incarnation_that_is_cut_is_replaced_and_no_sigbus() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let of_old = view(&index, &fixture);
    let path = fixture.dir().join(".kvlease.shared_memory/incarnation");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    assert!(!of_old.is_current(), "the mapping is lost");
    assert!(view(&index, &fixture).is_current());
}

#[test]
fn files_that_are_no_index_of_this_size_are_refused() {
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let arena = fixture.open();
    let open = |file: OwnedFd, slots| {
        let incarnation = (arena.incarnation().share().unwrap(), EPOCH);
        IndexView::from_descriptors((file, slots, KEY), incarnation, BUCKET).map_err(|e| e.kind())
    };
    assert!(open(passed(&index), 8).is_ok());
    for slots in [0, 7, 9, u64::MAX] {
        assert_eq!(open(passed(&index), slots).unwrap_err(), ErrorKind::InvalidData, "{slots}");
    }
    let table = |seals| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("table", flags).unwrap();
        ftruncate(&file, IndexTable::file_len(8).unwrap()).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file
    };
    let not_sealed = open(table(SealFlags::GROW), 8);
    assert_eq!(not_sealed.unwrap_err(), ErrorKind::InvalidData);
    let without_header = open(table(SealFlags::GROW | SealFlags::SHRINK), 8);
    assert_eq!(without_header.unwrap_err(), ErrorKind::InvalidData);
    let short = tempfile::tempfile_in("/dev/shm").unwrap();
    let incarnation = (short.into(), EPOCH);
    let refused = IndexView::from_descriptors((passed(&index), 8, KEY), incarnation, BUCKET);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
}

/// A writer moves keys among slots while a reader looks them up: what is found is always whole.
#[test]
fn a_reader_never_finds_parts_of_two_objects() {
    const ROUNDS: u64 = 300_000;
    const NAMES: usize = 12;
    let (fixture, index) = (Fixture::new(), PublishedIndex::create(8, KEY).unwrap());
    let view = view(&index, &fixture);
    let names: Vec<String> = (0..NAMES).map(|name| format!("name {name}")).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut draws = Draws::seeded(7);
            let mut held = [false; 8];
            for generation in 1..=ROUNDS {
                let slot = draws.index(8);
                match std::mem::replace(&mut held[slot], false) {
                    true => index.withdraw(slot as u32),
                    false => {
                        // The generation names the key: the number of the name is its remainder.
                        let number = generation as usize % NAMES;
                        held[slot] = publish(&index, slot as u32, &names[number], generation);
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut found = 0_u64;
        while !done.load(Ordering::Relaxed) || found == 0 {
            for (number, name) in names.iter().enumerate() {
                let Some(object) = view.find(name) else { continue };
                assert_eq!(object.generation as usize % NAMES, number);
                assert_eq!(object.extent, extent(object.generation));
                assert_eq!(object.checksum, Checksum::new(!object.generation));
                found += 1;
            }
        }
    });
}
