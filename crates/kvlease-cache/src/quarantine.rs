//! Ranges of units that are kept out of the free space for a time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use kvlease_types::Timestamp;

use crate::space::Space;

/// Memory per range, for the accounting: an entry of either collection with slack.
const RANGE_BYTES: usize = 64;

/// Ranges kept out of the free space.
#[derive(Default, Debug)]
pub(crate) struct Quarantine {
    /// Not populated yet: start to end and end of the quarantine, in units. Disjoint.
    ahead: BTreeMap<u32, (u32, Timestamp)>,
    /// Populated: end of the quarantine and block.
    populated: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// Units in `populated`.
    populated_units: u32,
}

impl Quarantine {
    /// Adds the units from `start` to `end`, none of which is populated.
    pub(crate) fn add(&mut self, mut start: u32, mut end: u32, mut until: Timestamp) {
        while let Some((&low, &(high, other))) = self.ahead.range(..end).next_back()
            && high > start
        {
            self.ahead.remove(&low);
            (start, end, until) = (start.min(low), end.max(high), until.max(other));
        }
        self.ahead.insert(start, (end, until));
    }

    /// Makes the space reach `populated` units: free ones, but for those in quarantine.
    pub(crate) fn populate(&mut self, space: &mut Space, populated: u32) {
        while space.populated() < populated {
            let at = space.populated();
            let Some((&start, &(end, until))) = self.ahead.first_key_value() else {
                return space.append_free(populated - at);
            };
            if start > at {
                space.append_free(start.min(populated) - at);
                continue;
            }
            self.ahead.remove(&start);
            let here = end.min(populated);
            let block = space.append_quarantined(here - at);
            self.populated.push(Reverse((until, block)));
            self.populated_units += here - at;
            if here < end {
                self.ahead.insert(here, (end, until));
            }
        }
    }

    /// Takes the units from `start` to `end` out: an object has them, and stays while it may be
    /// read. Nothing below `start` is left ahead.
    pub(crate) fn cut(&mut self, start: u32, end: u32) {
        while let Some((&low, &(high, until))) = self.ahead.first_key_value()
            && low < end
        {
            debug_assert!(low >= start, "what is below was populated before");
            self.ahead.remove(&low);
            if high > end {
                self.ahead.insert(end, (high, until));
            }
        }
    }

    /// Frees the first range whose time has come.
    pub(crate) fn free_due(&mut self, space: &mut Space, now: Timestamp) -> bool {
        let Some(Reverse((until, block))) = self.populated.peek().copied() else { return false };
        if until > now {
            return false;
        }
        self.populated.pop();
        self.populated_units -= space.free_block(block);
        true
    }

    /// Populated units in quarantine.
    pub(crate) const fn units(&self) -> u32 {
        self.populated_units
    }

    /// Disjoint ranges in quarantine.
    pub(crate) fn ranges(&self) -> usize {
        self.ahead.len() + self.populated.len()
    }

    /// Estimated memory of the ranges.
    pub(crate) fn memory(&self) -> usize {
        self.ranges() * RANGE_BYTES
    }
}
