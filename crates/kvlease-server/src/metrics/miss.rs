//! Why leases are not granted.

use std::time::Duration;

use kvlease_engine::LeaseRefused;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// What a miss is counted under.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct MissLabels {
    reason: &'static str,
}

impl From<LeaseRefused> for MissLabels {
    fn from(refused: LeaseRefused) -> Self {
        let reason = match refused {
            // Never stored, removed, or evicted long ago: often keys that differ between engines.
            LeaseRefused::Absent { evicted: false } => "absent",
            // The arena is too small for what is asked for.
            LeaseRefused::Absent { evicted: true } => "evicted",
            LeaseRefused::StillWriting { .. } => "still_writing",
            LeaseRefused::TooManyLeases => "too_many_leases",
            LeaseRefused::MemoryShort => "catalog_memory",
        };
        Self { reason }
    }
}

/// Counters for every reason, at zero, so that rates are known from the first miss on.
pub(super) fn family() -> Family<MissLabels, Counter> {
    let family = Family::default();
    let reasons = [
        LeaseRefused::Absent { evicted: false },
        LeaseRefused::Absent { evicted: true },
        LeaseRefused::StillWriting { waited: Duration::ZERO },
        LeaseRefused::TooManyLeases,
        LeaseRefused::MemoryShort,
    ];
    for reason in reasons {
        let _: &Counter = &family.get_or_create(&reason.into());
    }
    family
}
