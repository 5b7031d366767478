//! What every slot holds, told to the readers of other processes.

use std::sync::Arc;

use kvlease_cache::SlotWatch;
use kvlease_shm::Generations;

/// Keeps the table of generations in step with the catalog. The catalog tells of changes while
/// its mutex is held, so a cell is zeroed before anybody can be handed the extents.
#[derive(Debug)]
pub(crate) struct Cells(pub(crate) Arc<Generations>);

impl SlotWatch for Cells {
    fn sealed(&mut self, slot: u32, generation: u64) {
        self.0.set(slot, generation);
    }

    fn freed(&mut self, slot: u32) {
        self.0.clear(slot);
    }
}
