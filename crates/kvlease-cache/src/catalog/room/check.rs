//! Decision whether room can be made, before anything is evicted for it.

use kvlease_types::{Extent, Timestamp, WriteRefused};

use super::super::Catalog;
use crate::{
    classes::Favoured,
    config::EXTENTS_PER_OBJECT_MAX,
    objects::Objects,
    outcome::Room,
    space::{Allocation, Space},
};

/// Descriptors that one write can add to the block table: the rest of the block it cuts when it
/// claims, and the tail it gives back when it is sealed.
const BLOCKS_PER_CLAIM: usize = 2;

impl Catalog {
    /// Whether `units` more for `allocation` can be made free, by eviction if need be.
    ///
    /// Leases, graces and quarantines that have ended by `now` are ended as far as needed. That
    /// may fill the change log: then the answer waits for a drain.
    pub(in super::super) fn check_space(
        &mut self,
        allocation: &Allocation,
        units: u32,
        favoured: Favoured,
        now: Timestamp,
    ) -> Result<Room<()>, WriteRefused> {
        // Enough units, wherever they are.
        while self.usable() < u64::from(units) {
            if self.log.is_full() {
                return Ok(Room::AfterDrain);
            }
            if !self.reap_one(now) {
                return Err(self.short_of(units, WriteRefused::OnlyLeased));
            }
        }
        // In few enough pieces.
        while !self.can_join(allocation, units, favoured) {
            if self.log.is_full() {
                return Ok(Room::AfterDrain);
            }
            if !self.reap_all(now) {
                return Err(self.short_of(units, WriteRefused::Fragmented));
            }
        }
        Ok(Room::Given(()))
    }

    /// Whether `bytes` more can be added to the catalog's own memory, by eviction if need be.
    pub(in super::super) fn check_memory(&self, bytes: usize) -> Result<(), WriteRefused> {
        // Memory that is left when everything evictable is gone.
        let least = self.objects_memory() - self.evictable.memory as usize;
        if least + bytes <= self.objects_memory_max() {
            return Ok(());
        }
        Err(WriteRefused::MemoryShort { memory_max: self.config.memory_max })
    }

    /// Memory that more space for one object may need, at most.
    pub(in super::super) const fn claim_bytes() -> usize {
        EXTENTS_PER_OBJECT_MAX * size_of::<Extent>() + BLOCKS_PER_CLAIM * Space::BLOCK_BYTES
    }

    /// Memory that a new slot may need, at most: none if there is one, or will be after an eviction
    /// or an acknowledgement.
    pub(in super::super) const fn slot_bytes(&self) -> usize {
        let leaving = self.evictable.objects + self.departed.objects > 0;
        if self.objects.has_vacancy() || leaving { 0 } else { Objects::SLOT_BYTES }
    }

    /// Units that are free, will be after the next acknowledgement, or could be by eviction.
    fn usable(&self) -> u64 {
        u64::from(self.space.free()) + self.departed.units + self.evictable.units
    }

    /// Whether enough space for `allocation` can be made in few enough pieces, given that there
    /// are enough units.
    fn can_join(&self, allocation: &Allocation, units: u32, favoured: Favoured) -> bool {
        let blocks_max = EXTENTS_PER_OBJECT_MAX as u32 - allocation.blocks;
        // It fits as things are.
        if self.space.fits(allocation, units, blocks_max) {
            return true;
        }
        // What may leave depends on what left before: that is seen when it is claimed.
        if self.classes.have_guarantees() {
            return true;
        }
        // Pinned blocks cut the rest into one run more than there are, at most, and the largest
        // runs hold at least their share of it.
        let pinned = self.space.taken_blocks() - self.evictable.blocks - self.departed.blocks;
        let share = self.usable().saturating_mul(u64::from(blocks_max)) / (pinned + 1);
        let certain = pinned < u64::from(blocks_max) || share >= u64::from(units);
        // Only where this bound does not settle it, all blocks are walked over.
        certain || !self.stretch(units, blocks_max, favoured).is_empty()
    }

    /// Which error it is that `units` cannot be had.
    pub(super) fn short_of(&self, units: u32, error: WriteRefused) -> WriteRefused {
        // Space that is still to be populated may be what is missing: then a later try succeeds.
        let ahead = self.capacity - self.space.populated();
        let later = ahead > 0
            && match error {
                WriteRefused::Fragmented => ahead >= units,
                _ => self.usable() + u64::from(ahead) >= u64::from(units),
            };
        if later { WriteRefused::NotPopulated } else { error }
    }
}
