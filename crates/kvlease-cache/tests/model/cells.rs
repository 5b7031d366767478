//! What a reader of another process sees: the generation in every slot.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use kvlease_cache::{ObjectInfo, SlotWatch};
use kvlease_types::Extent;

use crate::naive::touched;

/// The cells, and where the object of every generation was when it was sealed.
#[derive(Default, Debug)]
pub(crate) struct Cells {
    cells: Shared,
    places: BTreeMap<u64, Vec<Range<usize>>>,
    slots_max: u32,
}

/// Slot to generation, for the slots that hold something.
#[derive(Clone, Default, Debug)]
struct Shared(Arc<Mutex<BTreeMap<u32, u64>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.0.lock().unwrap()
    }
}

impl SlotWatch for Shared {
    fn sealed(&mut self, slot: u32, generation: u64) {
        let before = self.lock().insert(slot, generation);
        assert_eq!(before, None, "slot {slot} is freed before it is used again");
    }

    fn freed(&mut self, slot: u32) {
        assert!(self.lock().remove(&slot).is_some(), "slot {slot} is freed once");
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
        let cells = self.cells.lock();
        assert!(cells.values().any(|generation| *generation == info.generation));
        assert!(cells.last_key_value().is_some_and(|(slot, _)| *slot < self.slots_max));
        let places = info.extents.iter().map(touched).collect();
        assert_eq!(self.places.insert(info.generation, places), None, "no generation comes twice");
    }

    /// The generation in a slot, 0 for none.
    pub(crate) fn get(&self, slot: u32) -> u64 {
        self.cells.lock().get(&slot).copied().unwrap_or(0)
    }

    /// Extents were handed out: nobody who reads there finds a generation that vouches for it.
    pub(crate) fn hand_out(&self, extents: &[Extent]) {
        for given in extents.iter().map(touched) {
            for (slot, generation) in &*self.cells.lock() {
                let overlaps =
                    |held: &Range<usize>| held.start < given.end && given.start < held.end;
                let vouched = self.places[generation].iter().any(overlaps);
                assert!(!vouched, "slot {slot} still vouches for units in {given:?}");
            }
        }
    }

    /// How many slots hold something.
    pub(crate) fn len(&self) -> usize {
        self.cells.lock().len()
    }
}
