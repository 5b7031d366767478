//! Reasons why leases are not granted, as they are counted.

use kvlease_types::Miss;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct MissLabels {
    reason: &'static str,
}

/// A counter for every reason, by its place; shared by HTTP and the fast lane.
#[derive(Clone, Debug)]
pub(super) struct Misses(Vec<Counter>);

impl Misses {
    /// All counters start at zero, so that rates are known from the first miss on.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<MissLabels, Counter>::default();
        let counter =
            |miss: &Miss| family.get_or_create(&MissLabels { reason: miss.name() }).clone();
        let counters = Miss::ALL.iter().map(counter).collect();
        registry.register("misses", "Leases not granted, by reason", family);
        Self(counters)
    }

    /// How many there are of each reason, by its place.
    pub(super) fn counts(&self) -> [u64; Miss::ALL.len()] {
        std::array::from_fn(|reason| self.0[reason].get())
    }

    pub(super) fn add(&self, miss: Miss, count: u64) {
        self.0[miss.index()].inc_by(count);
    }
}
