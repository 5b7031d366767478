//! When the policy may be chosen anew.

use std::time::Duration;

use kvlease_types::Timestamp;

/// Advantage of another policy, as a part of all references, for which the policy is changed.
pub(super) const MARGIN: f64 = 0.005;

/// Uses of the sample between two choices, at least.
const USES_MIN: u64 = 10_000;

/// Time between two choices, at least.
const PAUSE: Duration = Duration::from_secs(600);

/// Uses since the last choice.
#[derive(Default, Debug)]
pub(super) struct Choice {
    /// Uses of the sample since then.
    pub(super) uses: u64,
    at: Option<Timestamp>,
}

impl Choice {
    /// Whether enough was seen.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.uses >= USES_MIN && self.at.is_none_or(|at| now.since(at) >= PAUSE)
    }

    /// A policy was chosen.
    pub(super) fn named(&mut self, now: Timestamp) {
        *self = Self { uses: 0, at: Some(now) };
    }
}
