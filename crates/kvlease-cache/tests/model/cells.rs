//! What the catalog tells others: the generation in every slot, for readers of other processes,
//! and what every slot holds, for the incarnation that comes after it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use kvlease_cache::{ObjectInfo, SlotWatch};
use kvlease_types::{ByteSize, Checksum, Extent, SealedObject, Timestamp};

use crate::naive::touched;

/// The cells, and where the object of every generation was when it was sealed.
#[derive(Default, Debug)]
pub(crate) struct Cells {
    cells: Shared,
    places: BTreeMap<u64, Vec<Range<usize>>>,
    slots_max: u32,
}

/// What is kept of an object for the next incarnation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) name: (String, String),
    pub(crate) extents: Vec<Extent>,
    pub(crate) len: ByteSize,
    pub(crate) checksum: Checksum,
    pub(crate) generation: u64,
    pub(crate) created: Timestamp,
}

impl Entry {
    fn of(object: &SealedObject<'_>) -> Self {
        let SealedObject { bucket, key, extents, len, checksum, generation, created } = *object;
        let name = (bucket.to_owned(), key.to_owned());
        Self { name, extents: extents.to_vec(), len, checksum, generation, created }
    }

    pub(crate) fn object(&self) -> SealedObject<'_> {
        SealedObject {
            bucket: &self.name.0,
            key: &self.name.1,
            extents: &self.extents,
            len: self.len,
            checksum: self.checksum,
            generation: self.generation,
            created: self.created,
        }
    }
}

/// By slot.
#[derive(Default, Debug)]
struct Told {
    /// For the slots that hold something.
    generations: BTreeMap<u32, u64>,
    /// For those whose object is visible.
    record: BTreeMap<u32, Entry>,
}

#[derive(Clone, Default, Debug)]
struct Shared(Arc<Mutex<Told>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

impl SlotWatch for Shared {
    fn sealed(&mut self, slot: u32, object: &SealedObject<'_>) {
        let mut told = self.lock();
        let before = told.generations.insert(slot, object.generation);
        assert_eq!(before, None, "slot {slot} is freed before it is used again");
        let before = told.record.insert(slot, Entry::of(object));
        assert_eq!(before, None, "slot {slot} is struck out before it is used again");
    }

    fn concealed(&mut self, slot: u32) {
        assert!(self.lock().record.remove(&slot).is_some(), "slot {slot} is struck out once");
    }

    fn freed(&mut self, slot: u32) {
        let mut told = self.lock();
        assert!(told.generations.remove(&slot).is_some(), "slot {slot} is freed once");
        assert!(!told.record.contains_key(&slot), "slot {slot} was struck out before");
    }
}

impl Cells {
    pub(crate) fn new(slots_max: u32) -> Self {
        Self { slots_max, ..Self::default() }
    }

    pub(crate) fn watch(&self) -> Box<dyn SlotWatch> {
        Box::new(self.cells.clone())
    }

    /// An object was sealed: its cell says so, and no object had its generation before.
    pub(crate) fn seal(&mut self, info: &ObjectInfo) {
        let told = self.cells.lock();
        let cells = &told.generations;
        assert!(cells.values().any(|generation| *generation == info.generation));
        assert!(cells.last_key_value().is_some_and(|(slot, _)| *slot < self.slots_max));
        let places = info.extents.iter().map(touched).collect();
        assert_eq!(self.places.insert(info.generation, places), None, "no generation comes twice");
    }

    /// The generation in a slot, 0 for none.
    pub(crate) fn get(&self, slot: u32) -> u64 {
        self.cells.lock().generations.get(&slot).copied().unwrap_or(0)
    }

    /// What the next incarnation is told.
    pub(crate) fn record(&self) -> Vec<Entry> {
        self.cells.lock().record.values().cloned().collect()
    }

    /// Extents were handed out: nobody who reads there finds a generation that vouches for it.
    pub(crate) fn hand_out(&self, extents: &[Extent]) {
        for given in extents.iter().map(touched) {
            for (slot, generation) in &self.cells.lock().generations {
                let overlaps =
                    |held: &Range<usize>| held.start < given.end && given.start < held.end;
                let vouched = self.places[generation].iter().any(overlaps);
                assert!(!vouched, "slot {slot} still vouches for units in {given:?}");
            }
        }
    }

    /// How many slots hold something.
    pub(crate) fn len(&self) -> usize {
        self.cells.lock().generations.len()
    }
}
