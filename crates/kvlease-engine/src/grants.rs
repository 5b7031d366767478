//! Leases between their grant and their delivery.

use std::{sync::Arc, time::Duration};

use kvlease_cache::Lease;
use kvlease_types::{Caller, LeaseId, Miss};

use crate::shared::Shared;

/// Outcomes of an acquire, in the order of its keys. Its leases are not known to the caller yet:
/// dropping it releases them, so that an answer that never left does not keep their extents until
/// they expire. [`Grants::deliver`] hands them to the caller.
#[derive(Debug)]
#[must_use = "leases that are not delivered are released"]
pub struct Grants {
    shared: Arc<Shared>,
    caller: Caller,
    ttl: Duration,
    pub(crate) outcomes: Vec<Result<Lease, Miss>>,
}

impl Grants {
    pub(crate) fn new(shared: &Arc<Shared>, caller: &Caller, ttl: Duration, keys: usize) -> Self {
        let outcomes = Vec::with_capacity(keys);
        Self { shared: Arc::clone(shared), caller: *caller, ttl, outcomes }
    }

    /// The outcome of each key; in prefix mode up to and with the first miss.
    pub fn outcomes(&self) -> &[Result<Lease, Miss>] {
        &self.outcomes
    }

    /// The outcome of a batch of one.
    pub fn first(&self) -> Result<&Lease, Miss> {
        self.outcomes.first().expect("an acquire of a key has an outcome").as_ref().map_err(|m| *m)
    }

    /// The time to live that was granted, counted from the moment of each grant.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether an object is pending, see [`Engine::await_pending`](crate::Engine::await_pending).
    pub fn is_pending(&self) -> bool {
        self.next_pending(0).is_some()
    }

    /// The first pending key from `index` on.
    pub(crate) fn next_pending(&self, index: usize) -> Option<usize> {
        let pending = |outcome: &Result<Lease, Miss>| matches!(outcome, Err(Miss::Pending));
        self.outcomes[index..].iter().position(pending).map(|place| index + place)
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Hands the leases to the caller: from here on they end by release or expiry.
    pub fn deliver(mut self) {
        self.outcomes.clear();
    }

    /// Releases the leases behind the first `keys` outcomes, and forgets these outcomes.
    pub(crate) fn truncate(&mut self, keys: usize) {
        let granted = self.outcomes.drain(keys.min(self.outcomes.len())..).flatten();
        let ids: Vec<LeaseId> = granted.map(|lease| lease.id).collect();
        if !ids.is_empty() {
            self.shared.release(&self.caller, &ids);
        }
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        self.truncate(0);
    }
}
