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
    /// Keys of a prefix up to which absent objects were looked for in tiers.
    pub(crate) promoted_to: usize,
}

impl Grants {
    pub(crate) fn new(shared: &Arc<Shared>, caller: &Caller, ttl: Duration, keys: usize) -> Self {
        let outcomes = Vec::with_capacity(keys);
        Self { shared: Arc::clone(shared), caller: *caller, ttl, outcomes, promoted_to: 0 }
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

    /// Whether an object is pending, or a tier has to be asked for it, see
    /// [`Engine::await_pending`](crate::Engine::await_pending).
    pub fn is_pending(&self) -> bool {
        self.next_awaited(0).is_some()
    }

    /// The first key from `index` on whose object may come.
    pub(crate) fn next_awaited(&self, index: usize) -> Option<usize> {
        let awaited =
            |outcome: &Result<Lease, Miss>| matches!(outcome, Err(miss) if miss.is_awaited());
        self.outcomes[index..].iter().position(awaited).map(|place| index + place)
    }

    /// Places of those of this number of keys whose outcome may change while they are waited for: the
    /// awaited ones, and those that a prefix has not come to.
    pub(crate) fn places_awaited(&self, keys: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (self.outcomes.len()..keys).collect();
        let mut index = 0;
        while let Some(place) = self.next_awaited(index) {
            places.push(place);
            index = place + 1;
        }
        places.sort_unstable();
        places
    }

    /// Whether a tier has the object of this key, or has to be asked for it.
    pub(crate) fn is_in_tiers(&self, place: usize) -> bool {
        matches!(self.outcomes[place], Err(Miss::Elsewhere | Miss::NoRoom))
    }

    /// Whether there is no lease among them.
    pub(crate) fn are_none(&self) -> bool {
        self.outcomes.iter().all(Result::is_err)
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
