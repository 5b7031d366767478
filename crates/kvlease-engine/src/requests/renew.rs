//! Extending leases.

use std::time::Duration;

use kvlease_types::{Caller, LeaseId, Timestamp};

use super::part::PART;
use crate::{clock::now, shared::Shared, state::State};

/// Outcome of a renewal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewed {
    /// The time to live that was granted, counted from the call.
    pub ttl: Duration,
    /// Whether each lease was live, and has that time now; in their order.
    pub live: Vec<bool>,
}

impl Shared {
    /// See [`Engine::renew`](crate::Engine::renew).
    pub(crate) fn renew(&self, caller: &Caller, ids: &[LeaseId], ttl: Option<Duration>) -> Renewed {
        let ttl = self.granted_ttl(ttl);
        let mut live = Vec::with_capacity(ids.len());
        for part in ids.chunks(PART) {
            let mut state = self.state();
            let now = now();
            live.extend(part.iter().map(|id| self.renew_one(&mut state, caller, *id, ttl, now)));
        }
        Renewed { ttl, live }
    }

    /// Renews the lease of the daemon's own read, of which the fence says nothing.
    pub(crate) fn renew_read(&self, caller: &Caller, id: LeaseId) -> bool {
        let mut state = self.state();
        state.catalog.renew(caller, id, self.config.lease_ttl_max, now()).is_some()
    }

    /// Renews one lease while the catalog is locked.
    fn renew_one(
        &self,
        state: &mut State,
        caller: &Caller,
        id: LeaseId,
        ttl: Duration,
        now: Timestamp,
    ) -> bool {
        let Some(extents) = state.catalog.leased_extents(caller, id, now) else { return false };
        // Noted under the lock: were the lease to end in between, another tenant's extents would
        // be marked.
        self.arena.lease_fence().raise(&extents, now.after(ttl + self.config.catalog.lease_grace));
        state.catalog.renew(caller, id, ttl, now).is_some()
    }
}
