//! The series of the history: the one table of what is recorded.

use kvlease_engine::CountersSnapshot;
use kvlease_types::{ByteSize, Miss};

use super::figures::Figures;
use crate::metrics::Timed;

/// One figure over time.
pub(crate) struct Series {
    /// Name in `/v1/history`.
    pub(crate) name: &'static str,
    pub(super) value: Value,
}

/// Value of a series in a sample.
pub(super) enum Value {
    /// The value at the time of the sample; `None` where it is not known.
    Now(fn(&Figures) -> Option<u64>),
    /// Growth of a total since the sample before.
    Count(fn(&Figures) -> Option<u64>),
    /// Quantile in seconds of the times to the answers since the sample before.
    Quantile(Timed, f64),
}

use Value::{Count, Now, Quantile};

/// Everything that is recorded.
#[rustfmt::skip]
pub(crate) const SERIES: &[Series] = &[
    Series { name: "allocated_bytes", value: Now(|r| Some(r.engine.catalog.allocated.bytes())) },
    Series { name: "writing_bytes", value: Now(|r| Some(r.engine.catalog.being_written.bytes())) },
    Series { name: "quarantined_bytes", value: Now(|r| Some(r.engine.catalog.quarantined.bytes())) },
    Series { name: "free_bytes", value: Now(|r| Some(r.engine.catalog.free.bytes())) },
    Series { name: "objects", value: Now(|r| Some(r.engine.catalog.objects)) },
    Series { name: "leases", value: Now(|r| Some(r.engine.catalog.leases_live)) },
    Series { name: "connections", value: Now(|r| Some(r.traffic.connections)) },
    Series { name: "lane_connections", value: Now(|r| Some(r.traffic.lane_connections)) },
    Series { name: "tiers_used_bytes", value: Now(|r| r.of_tiers(|tier| tier.usage.used.map(ByteSize::bytes))) },
    Series { name: "hits", value: Count(|r| Some(r.hits())) },
    Series { name: "misses", value: Count(|r| Some(r.traffic.misses)) },
    Series { name: "misses_absent", value: Count(|r| r.missed(Miss::Absent)) },
    Series { name: "misses_evicted", value: Count(|r| r.missed(Miss::Evicted)) },
    Series { name: "misses_elsewhere", value: Count(|r| r.missed(Miss::Elsewhere)) },
    Series { name: "misses_still_writing", value: Count(|r| r.missed(Miss::Pending)) },
    Series { name: "misses_corrupt", value: Count(|r| r.missed(Miss::Corrupt)) },
    Series { name: "misses_too_many_leases", value: Count(|r| r.missed(Miss::TooManyLeases)) },
    Series { name: "misses_lease_quota", value: Count(|r| r.missed(Miss::LeaseQuota)) },
    Series { name: "misses_memory_short", value: Count(|r| r.missed(Miss::MemoryShort)) },
    Series { name: "misses_no_room", value: Count(|r| r.missed(Miss::NoRoom)) },
    Series { name: "stored_objects", value: Count(|r| Some(r.engine.catalog.totals.sealed)) },
    Series { name: "removed_objects", value: Count(|r| Some(r.engine.catalog.totals.removed)) },
    Series { name: "evicted_objects", value: Count(|r| Some(r.engine.catalog.totals.evicted)) },
    Series { name: "evicted_bytes", value: Count(|r| Some(r.engine.catalog.totals.evicted_bytes)) },
    Series { name: "leases_expired", value: Count(|r| Some(r.engine.catalog.totals.expired_unreleased)) },
    Series { name: "received_bytes", value: Count(|r| Some(r.traffic.received)) },
    Series { name: "sent_bytes", value: Count(|r| Some(r.traffic.sent)) },
    Series { name: "lane_written_bytes", value: Count(|r| Some(r.traffic.written)) },
    Series { name: "tiers_loaded_bytes", value: Count(|r| r.of_tiers(|tier| Some(tier.counters.loaded))) },
    Series { name: "tiers_stored_bytes", value: Count(|r| r.of_tiers(|tier| Some(tier.counters.stored))) },
    Series { name: "lease_p50_seconds", value: Quantile(Timed::Lease, 0.5) },
    Series { name: "lease_p99_seconds", value: Quantile(Timed::Lease, 0.99) },
    Series { name: "get_p50_seconds", value: Quantile(Timed::Get, 0.5) },
    Series { name: "get_p99_seconds", value: Quantile(Timed::Get, 0.99) },
    Series { name: "put_p50_seconds", value: Quantile(Timed::Put, 0.5) },
    Series { name: "put_p99_seconds", value: Quantile(Timed::Put, 0.99) },
];

impl Series {
    /// Place of a series in [`SERIES`].
    pub(crate) fn place(name: &str) -> usize {
        let found = SERIES.iter().position(|series| series.name == name);
        found.expect("the name is one of the table's")
    }

    /// Whether its values are seconds, and not whole numbers.
    pub(crate) const fn is_seconds(&self) -> bool {
        matches!(self.value, Quantile(..))
    }
}

impl Figures {
    /// Leases granted, and reads by the published index: what `/v1/stats` counts as hits.
    pub(crate) fn hits(&self) -> u64 {
        let CountersSnapshot { index_reads, .. } = self.engine.counters;
        self.traffic.hits + index_reads
    }

    fn missed(&self, reason: Miss) -> Option<u64> {
        Some(self.traffic.misses_by_reason[reason.index()])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_series_has_a_name_of_its_own_and_every_reason_a_series() {
        let names: BTreeSet<_> = SERIES.iter().map(|series| series.name).collect();
        assert_eq!(names.len(), SERIES.len());
        for (place, series) in SERIES.iter().enumerate() {
            assert_eq!(Series::place(series.name), place);
        }
        for miss in Miss::ALL {
            assert!(names.contains(format!("misses_{}", miss.name()).as_str()), "{miss:?}");
        }
    }
}
