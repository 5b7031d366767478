//! The eviction policy in force: since when, and why it is that one.

use std::{sync::Mutex, time::Duration};

use kvlease_cache::PolicyChoice;
use kvlease_types::Timestamp;

/// State of the eviction policy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PolicyState {
    /// How long it has been in force.
    pub in_force: Duration,
    /// Whether objects are still being handed over to it.
    pub is_changing: bool,
    /// Figures of the live curve when it chose it; `None` for the first one.
    pub choice: Option<PolicyChoice>,
}

/// When the policy came into force, and what it was chosen for.
#[derive(Debug)]
pub(crate) struct PolicyInForce(Mutex<(Timestamp, Option<PolicyChoice>)>);

impl PolicyInForce {
    /// The first policy of an engine.
    pub(crate) const fn first(now: Timestamp) -> Self {
        Self(Mutex::new((now, None)))
    }

    /// Another policy comes into force.
    pub(crate) fn change(&self, choice: PolicyChoice, now: Timestamp) {
        *self.0.lock().expect("a panic ends the process") = (now, Some(choice));
    }

    pub(crate) fn state(&self, is_changing: bool, now: Timestamp) -> PolicyState {
        let (since, choice) = *self.0.lock().expect("a panic ends the process");
        PolicyState { in_force: now.since(since), is_changing, choice }
    }
}
