//! Claim of what a request needs, after it was found that this can be had.
//!
//! Space and slots of objects that are evicted here are free only after an acknowledgement: then a
//! claim returns false, and its caller is asked to drain.

use kvlease_types::WriteRefused;

use super::super::Catalog;
use crate::{
    classes::Favoured,
    config::{EVICTIONS_PER_CALL_MAX, EXTENTS_PER_OBJECT_MAX},
    objects::Objects,
    space::{Allocation, Effort},
};

impl Catalog {
    /// Evicts until `bytes` more can be added to the catalog's own memory.
    /// [`check_memory`](Self::check_memory) said yes.
    ///
    /// The names and extents of departed objects are not counted, so this needs no drain.
    pub(in super::super) fn make_memory(
        &mut self,
        bytes: usize,
        favoured: Favoured,
    ) -> Result<(), WriteRefused> {
        while self.objects_memory() + bytes > self.objects_memory_max() {
            self.evict_for_memory(favoured)?;
        }
        Ok(())
    }

    fn evict_for_memory(&mut self, favoured: Favoured) -> Result<(), WriteRefused> {
        if self.evict_one(favoured) {
            return Ok(());
        }
        assert!(self.classes.have_guarantees(), "the memory was found to suffice after eviction");
        Err(WriteRefused::MemoryShort { memory_max: self.config.memory_max })
    }

    /// Evicts until `bytes` more and a slot can be added, in the same way. False if the slot has
    /// to wait for a drain.
    pub(in super::super) fn make_slot(
        &mut self,
        bytes: usize,
        favoured: Favoured,
    ) -> Result<bool, WriteRefused> {
        while !self.objects.has_vacancy()
            && self.objects_memory() + bytes + Objects::SLOT_BYTES > self.objects_memory_max()
        {
            // A departed object's slot is free after the next acknowledgement.
            if self.departed.objects > 0 {
                return Ok(false);
            }
            self.evict_for_memory(favoured)?;
        }
        self.make_memory(bytes, favoured)?;
        Ok(true)
    }

    /// Adds `units` to the allocation of the object in `slot`. False if they have to wait for a
    /// drain. [`check_space`](Self::check_space) said yes.
    pub(in super::super) fn claim(
        &mut self,
        allocation: &mut Allocation,
        slot: u32,
        units: u32,
        favoured: Favoured,
    ) -> Result<bool, WriteRefused> {
        let blocks_max = EXTENTS_PER_OBJECT_MAX as u32 - allocation.blocks;
        // The common case: it is free.
        if self.space.extend(allocation, slot, units, blocks_max, Effort::Quick) {
            return Ok(true);
        }
        // Evict in the order of the policy until enough is free, or will be.
        let mut evictions = 0_u64;
        while u64::from(self.space.free()) + self.departed.units < u64::from(units) {
            if self.log.is_full() || evictions == EVICTIONS_PER_CALL_MAX {
                return Ok(false);
            }
            evictions += 1;
            if !self.evict_one(favoured) {
                return Err(self.guaranteed_to_others(units, WriteRefused::OnlyLeased));
            }
        }
        // Some of it is free only once the departures are acknowledged.
        if self.departed.objects > 0 {
            return Ok(false);
        }
        // Enough is free, but in too many pieces for a quick look.
        if self.space.extend(allocation, slot, units, blocks_max, Effort::Exhaustive) {
            return Ok(true);
        }
        // Or in too many at all: clear the cheapest stretch, whatever the policy says.
        self.clear_stretch(units, blocks_max, favoured);
        if self.departed.objects == 0 {
            return Err(self.guaranteed_to_others(units, WriteRefused::Fragmented));
        }
        Ok(false)
    }

    /// Which error it is that what may be evicted turned out not to suffice.
    fn guaranteed_to_others(&self, units: u32, error: WriteRefused) -> WriteRefused {
        assert!(self.classes.have_guarantees(), "the space was found to suffice after eviction");
        self.short_of(units, error)
    }
}
