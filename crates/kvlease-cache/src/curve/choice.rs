//! When the policy may be chosen anew.

use std::time::Duration;

use kvlease_types::Timestamp;

use crate::config::EvictionKind;

/// Advantage of another policy, as a part of all references, for which the policy is changed.
pub(super) const MARGIN: f64 = 0.005;

/// Uses of the sample between two choices, at least.
const USES_MIN: u64 = 10_000;

/// Time between two choices, at least.
const PAUSE: Duration = Duration::from_secs(600);

/// A policy that the curve chose, and what it told then.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PolicyChoice {
    /// The policy in force before.
    pub before: EvictionKind,
    /// Its hit ratio with the arena's capacity.
    pub hit_ratio_before: f64,
    /// The policy that was chosen.
    pub policy: EvictionKind,
    /// Its hit ratio.
    pub hit_ratio: f64,
    /// References of the sample that both rest on, those of long ago in part.
    pub references: f64,
}

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
