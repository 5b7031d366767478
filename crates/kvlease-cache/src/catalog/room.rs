//! Making room: first decide whether it can be made, then make it.
//!
//! A request is refused before anything is evicted for it. Counters answer that in the common
//! case. Only where pinned blocks (leased, in grace, being written, in quarantine) might cut the
//! space into more pieces than one object may have are the blocks looked at one by one.

use std::collections::VecDeque;

use kvlease_types::{Extent, Timestamp, WriteRefused};

use super::Catalog;
use crate::{
    config::EXTENTS_PER_OBJECT_MAX,
    objects::Objects,
    space::{Allocation, Effort, Space, Tenant},
};

/// Objects evicted in the order of the policy, after there is enough free space, in the hope that
/// it joins; beyond that the cheapest stretch of the arena is cleared.
const EVICTIONS_TO_JOIN_MAX: u32 = 32;

/// Descriptors that one write can add to the block table: the rest of the block it cuts when it
/// claims, and the tail it gives back when it is sealed.
const BLOCKS_PER_CLAIM: usize = 2;

/// A stretch of the arena without pinned blocks.
#[derive(Clone, Copy, Default, Debug)]
struct Run {
    units: u32,
    start: u32,
    end: u32,
}

impl Catalog {
    /// Whether `units` more for `allocation` can be made free, by eviction if need be.
    ///
    /// Leases, holds and quarantines that have ended by `now` are ended as far as needed.
    pub(super) fn check_space(
        &mut self,
        allocation: &Allocation,
        units: u32,
        now: Timestamp,
    ) -> Result<(), WriteRefused> {
        while u64::from(self.space.free()) + self.evictable.units < u64::from(units) {
            if !self.reap_one(now) {
                return Err(self.short_of(units, WriteRefused::OnlyLeased));
            }
        }
        while !self.can_join(allocation, units) {
            if !self.reap_all(now) {
                return Err(self.short_of(units, WriteRefused::Fragmented));
            }
        }
        Ok(())
    }

    /// Whether `bytes` more can be added to the catalog's own memory, by eviction if need be.
    pub(super) fn check_memory(&self, bytes: usize) -> Result<(), WriteRefused> {
        let least = self.memory() - self.evictable.memory as usize;
        if least + bytes <= self.memory_max() {
            return Ok(());
        }
        Err(WriteRefused::MemoryShort { memory_max: self.config.memory_max })
    }

    /// Evicts until `bytes` more can be added. [`check_memory`](Self::check_memory) said yes.
    pub(super) fn make_memory(&mut self, bytes: usize) {
        while self.memory() + bytes > self.memory_max() {
            assert!(self.evict_one(), "the memory was found to suffice after eviction");
        }
    }

    /// Evicts until `bytes` more and a slot can be added, in the same way.
    pub(super) fn make_slot(&mut self, bytes: usize) {
        while !self.objects.has_vacancy()
            && self.memory() + bytes + Objects::SLOT_BYTES > self.memory_max()
        {
            assert!(self.evict_one(), "the memory was found to suffice after eviction");
        }
        self.make_memory(bytes);
    }

    /// Memory that more space for one object may need, at most.
    pub(super) const fn claim_bytes() -> usize {
        EXTENTS_PER_OBJECT_MAX * size_of::<Extent>() + BLOCKS_PER_CLAIM * Space::BLOCK_BYTES
    }

    /// Memory that a new slot may need, at most: none if eviction can free one.
    pub(super) const fn slot_bytes(&self) -> usize {
        let free = self.objects.has_vacancy() || self.evictable.objects > 0;
        if free { 0 } else { Objects::SLOT_BYTES }
    }

    /// Gives the object in `slot` `units` more. [`check_space`](Self::check_space) said yes.
    pub(super) fn claim(&mut self, slot: u32, units: u32) {
        let mut allocation = std::mem::take(&mut self.objects[slot].allocation);
        let blocks_max = EXTENTS_PER_OBJECT_MAX as u32 - allocation.blocks;
        let mut fruitless = 0;
        while !self.space.extend(&mut allocation, slot, units, blocks_max, Effort::Quick) {
            fruitless += u32::from(self.space.free() >= units);
            if fruitless > EVICTIONS_TO_JOIN_MAX || !self.evict_one() {
                self.clear_stretch(units, blocks_max);
                let done =
                    self.space.extend(&mut allocation, slot, units, blocks_max, Effort::Exhaustive);
                assert!(done, "the space was found to suffice after eviction");
                break;
            }
        }
        self.objects[slot].allocation = allocation;
    }

    /// Evicts the next victim of the policy, if there is one.
    fn evict_one(&mut self) -> bool {
        let Some(slot) = self.policy.evict() else { return false };
        self.finish_eviction(slot);
        true
    }

    /// Evicts an object that the policy has forgotten.
    fn finish_eviction(&mut self, slot: u32) {
        let object = &self.objects[slot];
        self.totals.evicted += 1;
        self.totals.evicted_bytes += object.len;
        self.gone.insert(object.hash);
        self.gone.truncate(self.objects.span());
        self.evictable.subtract(object);
        self.conceal(slot);
        self.free_object(slot);
    }

    /// Whether enough space for `allocation` can be made in few enough pieces, given that there
    /// are enough units.
    fn can_join(&self, allocation: &Allocation, units: u32) -> bool {
        let blocks_max = EXTENTS_PER_OBJECT_MAX as u32 - allocation.blocks;
        if self.space.fits(allocation, units, blocks_max) {
            return true;
        }
        // Pinned blocks cut the rest into one run more than there are, at most, and the largest
        // runs hold at least their share of it.
        let pinned = self.space.taken_blocks() - self.evictable.blocks;
        let usable = u64::from(self.space.free()) + self.evictable.units;
        let share = usable.saturating_mul(u64::from(blocks_max)) / (pinned + 1);
        let certain = pinned < u64::from(blocks_max) || share >= u64::from(units);
        certain || !self.stretch(units, blocks_max).is_empty()
    }

    /// Which error it is that `units` cannot be had.
    fn short_of(&self, units: u32, error: WriteRefused) -> WriteRefused {
        let ahead = self.capacity - self.space.populated();
        let usable = u64::from(self.space.free()) + self.evictable.units;
        let later = ahead > 0
            && match error {
                WriteRefused::Fragmented => ahead >= units,
                _ => usable + u64::from(ahead) >= u64::from(units),
            };
        if later { WriteRefused::NotPopulated } else { error }
    }

    /// Evicts what lies in the way of `units` in at most `blocks_max` pieces.
    fn clear_stretch(&mut self, units: u32, blocks_max: u32) {
        for run in self.stretch(units, blocks_max) {
            let inside = |start: u32| (run.start..run.end).contains(&start);
            let tenants = self.space.walk().filter(|block| inside(block.start));
            let tenants: Vec<_> = tenants.map(|block| block.tenant).collect();
            for tenant in tenants {
                let Tenant::Object(slot) = tenant else { continue };
                // An object with several blocks in the way is gone after the first.
                if self.objects.get(slot).is_some() {
                    self.policy.remove(slot);
                    self.finish_eviction(slot);
                }
            }
        }
    }

    /// The places to clear for `units`: where the least must be evicted if one stretch without
    /// pinned blocks has room for all, the largest stretches otherwise, nothing if those are not
    /// enough.
    fn stretch(&self, units: u32, blocks_max: u32) -> Vec<Run> {
        let (best, mut runs) = self.survey(units);
        if let Some(best) = best.filter(|_| blocks_max > 0) {
            return vec![best];
        }
        runs.sort_by_key(|run| std::cmp::Reverse((run.units, run.start)));
        runs.truncate(blocks_max as usize);
        let mut found = 0;
        let enough = runs.iter().position(|run| {
            found += u64::from(run.units);
            found >= u64::from(units)
        });
        runs.truncate(enough.map_or(0, |last| last + 1));
        runs
    }

    /// Walks over all blocks: the window of at least `units` with the least to evict, and every
    /// run without pinned blocks.
    fn survey(&self, units: u32) -> (Option<Run>, Vec<Run>) {
        let mut runs = Vec::new();
        let mut best: Option<(u64, Run)> = None;
        let (mut run, mut window, mut weight) = (Run::default(), VecDeque::new(), (0_u64, 0_u64));
        for block in self.space.walk() {
            let to_evict = match block.tenant {
                Tenant::Free => Some(0),
                Tenant::Object(slot) if self.objects[slot].is_evictable() => Some(block.units),
                Tenant::Object(_) | Tenant::Quarantine => None,
            };
            let end = block.start + block.units;
            let Some(cost) = to_evict else {
                runs.extend(Some(run).filter(|run| run.units > 0));
                (run, weight) = (Run { units: 0, start: end, end }, (0, 0));
                window.clear();
                continue;
            };
            (run.units, run.end) = (run.units + block.units, end);
            window.push_back((block.start, block.units, cost));
            weight = (weight.0 + u64::from(block.units), weight.1 + u64::from(cost));
            while let Some((_, first, cost)) = window.front().copied()
                && weight.0 - u64::from(first) >= u64::from(units)
            {
                window.pop_front();
                weight = (weight.0 - u64::from(first), weight.1 - u64::from(cost));
            }
            let cheaper = best.is_none_or(|(least, _)| weight.1 < least);
            if weight.0 >= u64::from(units) && cheaper {
                let start = window.front().map_or(block.start, |(start, ..)| *start);
                best = Some((weight.1, Run { units: end - start, start, end }));
            }
        }
        runs.extend(Some(run).filter(|run| run.units > 0));
        (best.map(|(_, run)| run), runs)
    }
}
