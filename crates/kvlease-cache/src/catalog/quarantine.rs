//! Quarantine: extents that an earlier incarnation may have leased, kept out of the free space.

use kvlease_types::{ByteSize, Extent, Timestamp};

use super::{Catalog, whole_units};
use crate::config::{CAPACITY_MAX, UNIT};

impl Catalog {
    /// Keeps `extent` out of the free space until `until`: a client may still read it under a lease
    /// of an earlier incarnation.
    ///
    /// Every unit that the extent touches is kept; where extents overlap, the later end counts for
    /// both. What lies beyond the arena has no effect. This never fails for lack of memory; it
    /// counts against the limit.
    ///
    /// # Panics
    ///
    /// If the extent is populated already, in whole or in part: its space may be in use by then.
    pub fn quarantine(&mut self, extent: Extent, until: Timestamp) {
        let start = whole_units_below(extent.offset.bytes());
        let end = extent.end().map_or(u64::MAX, |end| end.bytes());
        let end = whole_units_below(end.saturating_add(UNIT.bytes() - 1));
        if extent.len.bytes() > 0 && start < end {
            assert!(start >= self.space.populated(), "quarantine comes before population");
            self.quarantine.add(start, end, until);
        }
    }
}

fn whole_units_below(bytes: u64) -> u32 {
    whole_units(ByteSize::new(bytes).min(CAPACITY_MAX))
}
