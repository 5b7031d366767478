//! A lease, however it was granted.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::{runtime::Handle, time::sleep};

use super::releases::QueuedLease;
use crate::{Error, lane::LaneLease};

/// A lease of either way to the daemon. Dropping it releases it in the background.
#[derive(Debug)]
pub(super) enum Grant {
    Http(QueuedLease),
    Lane(Arc<LaneLease>),
}

impl Grant {
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Http(lease) => lease.key(),
            Self::Lane(lease) => lease.key(),
        }
    }

    pub(super) fn extents(&self) -> &[Extent] {
        match self {
            Self::Http(lease) => lease.extents(),
            Self::Lane(lease) => lease.extents(),
        }
    }

    pub(super) fn len(&self) -> ByteSize {
        match self {
            Self::Http(lease) => lease.len(),
            Self::Lane(lease) => lease.len(),
        }
    }

    pub(super) fn checksum(&self) -> Option<Checksum> {
        match self {
            Self::Http(lease) => lease.checksum(),
            Self::Lane(lease) => Some(lease.checksum()),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Http(lease) => lease.deadline(),
            Self::Lane(lease) => lease.deadline(),
        }
    }

    /// Whether the extents may still be read.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Http(lease) => lease.is_live(),
            Self::Lane(lease) => lease.is_live(),
        }
    }

    /// Has the lease renewed for as long as it is there, if it came over the fast lane. A daemon of
    /// another make may not renew at all, so a lease over HTTP is its holder's to renew.
    pub(super) fn keep_alive(&self, ttl: Duration, limit: Duration, runtime: &Handle) {
        if let Self::Lane(lease) = self {
            runtime.spawn(renew_while_there(Arc::downgrade(lease), ttl, limit));
        }
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    pub(super) async fn renew(&mut self, ttl: Duration, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Http(lease) => lease.renew(ttl).await,
            Self::Lane(lease) => match lease.renew(ttl, limit).await {
                Ok(true) => Ok(()),
                // Leases end with the lane that they came over.
                Ok(false) | Err(_) => Err(Error::LeaseEnded { key: lease.key().clone() }),
            },
        }
    }
}

/// Renews a lease each time that half of what is left of it has passed, until it is dropped or has
/// ended.
async fn renew_while_there(lease: Weak<LaneLease>, ttl: Duration, limit: Duration) {
    while let Some(left) =
        lease.upgrade().map(|lease| lease.deadline().saturating_duration_since(Instant::now()))
    {
        sleep(left / 2).await;
        let Some(lease) = lease.upgrade() else { return };
        if !matches!(lease.renew(ttl, limit).await, Ok(true)) {
            return;
        }
    }
}
