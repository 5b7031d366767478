//! All figures at one moment.

use kvlease_engine::{Engine, EngineStats, TierStats};

use crate::metrics::{Metrics, Traffic};

/// The figures of one moment, totals since the start among them.
pub(crate) struct Figures {
    pub(crate) engine: EngineStats,
    pub(crate) traffic: Traffic,
    pub(crate) tiers: Vec<TierStats>,
}

impl Figures {
    pub(crate) fn of(engine: &Engine, metrics: &Metrics) -> Self {
        Self { engine: engine.stats(), traffic: metrics.traffic(), tiers: engine.tiers() }
    }

    /// Sum over all tiers of what is known of them; `None` if nothing is.
    pub(super) fn of_tiers(&self, read: fn(&TierStats) -> Option<u64>) -> Option<u64> {
        let known = self.tiers.iter().filter_map(read);
        known.reduce(u64::saturating_add)
    }
}
