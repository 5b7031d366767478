//! A lease, however it was granted.

use std::time::{Duration, Instant};

use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::runtime::Handle;

use super::releases::QueuedLease;
use crate::{Error, lane::LaneLease};

/// A lease of either way to the daemon. Dropping it releases it in the background.
#[derive(Debug)]
pub(super) enum Grant {
    Http(Box<QueuedLease>),
    Lane(LaneLease),
}

impl Grant {
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
    pub(super) fn keep_alive(&self, limit: Duration) {
        if let Self::Lane(lease) = self {
            lease.keep_alive(limit);
        }
    }

    /// Where what is done for it in the background is done.
    pub(super) fn runtime(&self) -> &Handle {
        match self {
            Self::Http(lease) => lease.runtime(),
            Self::Lane(lease) => lease.runtime(),
        }
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    pub(super) async fn renew(
        &mut self,
        key: &Key,
        ttl: Duration,
        limit: Duration,
    ) -> Result<(), Error> {
        match self {
            Self::Http(lease) => lease.renew(ttl).await,
            Self::Lane(lease) => match lease.renew(ttl, limit).await {
                Ok(true) => Ok(()),
                // Leases end with the lane that they came over.
                Ok(false) | Err(_) => Err(Error::LeaseEnded { key: key.clone() }),
            },
        }
    }
}
