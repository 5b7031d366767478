//! Figures of a catalog.

use std::time::Duration;

use kvlease_types::{ByteSize, Timestamp};

use super::{Catalog, unit_bytes};
use crate::{
    config::LIST_SCAN_MAX,
    outcome::{CatalogStats, LeaseAges},
};

impl Catalog {
    /// Snapshot of the figures, in constant time.
    pub fn stats(&self, now: Timestamp) -> CatalogStats {
        let left = self.removed.units + self.departed.units;
        let quarantined = left + u64::from(self.quarantine.units());
        CatalogStats {
            capacity: unit_bytes(self.capacity.into()),
            populated: unit_bytes(self.space.populated().into()),
            free: unit_bytes(self.space.free().into()),
            largest_free_extent: unit_bytes(self.space.largest_free().into()),
            stored: ByteSize::new(self.sealed.bytes),
            allocated: unit_bytes(self.sealed.units),
            being_written: unit_bytes(self.pending.units),
            quarantined: unit_bytes(quarantined),
            evictable: unit_bytes(self.evictable.units),
            objects: self.sealed.objects,
            unverified: self.unverified,
            writes_in_flight: self.pending.objects,
            leases_live: self.leases.len() as u64,
            leases_max: self.leases.limits().leases() as u64,
            leased: ByteSize::new(self.leased_bytes),
            oldest_lease_age: self.leases.oldest().map_or(Duration::ZERO, |then| now.since(then)),
            memory: ByteSize::new(self.memory() as u64),
            memory_max: self.config.memory_max,
            totals: self.totals,
        }
    }

    /// A part of the live leases by age, and where to go on, or `None` at the end. A call looks at
    /// [`LIST_SCAN_MAX`] places at most.
    pub fn lease_ages(&self, from: u32, now: Timestamp) -> (LeaseAges, Option<u32>) {
        let to = from.saturating_add(LIST_SCAN_MAX as u32);
        let (granted, more) = self.leases.granted(from, to);
        let mut ages = LeaseAges::default();
        granted.for_each(|then| ages.count(now.since(then)));
        (ages, more.then_some(to))
    }
}
