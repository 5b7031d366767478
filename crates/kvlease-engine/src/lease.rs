//! Leases between their grant and their delivery.

use std::{sync::Arc, time::Duration};

use kvlease_cache::Lease;

use crate::{clock::now, engine::Shared};

/// A lease that no client knows of yet. Dropping it releases it, so that an answer that never
/// left does not hold its extents until the lease expires.
#[derive(Debug)]
pub struct LeaseGuard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    ttl: Duration,
    delivered: bool,
}

impl LeaseGuard {
    /// Guards a lease that was just granted.
    pub(crate) fn new(shared: &Arc<Shared>, lease: Lease, ttl: Duration) -> Self {
        shared.note_lease(&lease);
        Self { shared: Arc::clone(shared), lease, ttl, delivered: false }
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The time to live that was granted.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Hands the lease to the client: from here on it ends by release or expiry.
    pub fn deliver(mut self) {
        self.delivered = true;
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if !self.delivered {
            self.shared.state().catalog.release(self.lease.id, now());
        }
    }
}
