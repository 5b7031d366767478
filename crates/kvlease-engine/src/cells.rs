//! What every slot holds, told to the readers of other processes and to the daemon's next start.

use std::sync::Arc;

use kvlease_arena::{Generations, Manifest};
use kvlease_cache::SlotWatch;
use kvlease_types::SealedObject;

use crate::counters::Counters;

/// Keeps the table of generations and the record in step with the catalog. The catalog tells of
/// changes while its mutex is held, so a cell is zeroed, and an object struck out, before anybody
/// can be handed the extents.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) generations: Arc<Generations>,
    pub(crate) record: Manifest,
    pub(crate) counters: Arc<Counters>,
}

impl SlotWatch for Cells {
    fn sealed(&mut self, slot: u32, object: &SealedObject<'_>) {
        self.generations.set(slot, object.generation);
        if !self.record.insert(slot, object) {
            self.counters.objects_unrecorded.increment();
        }
    }

    fn concealed(&mut self, slot: u32) {
        self.record.delete(slot);
    }

    fn freed(&mut self, slot: u32) {
        self.generations.clear(slot);
    }
}
