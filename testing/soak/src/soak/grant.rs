//! A lease, over whichever way it came.

use std::time::{Duration, Instant};

use kvlease_client::{ByteSize, Checksum, Error, Extent, Lease, lane::LaneLease};

use super::client::CALL_WITHIN;

/// A lease over HTTP or over the fast lane.
#[derive(Debug)]
pub(crate) enum Grant {
    Http(Lease),
    Lane(LaneLease),
}

impl Grant {
    /// Which way it came, for complaints.
    pub(crate) fn way(&self) -> &'static str {
        match self {
            Self::Http(_) => "lease over HTTP",
            Self::Lane(_) => "lease over the fast lane",
        }
    }

    pub(crate) fn len(&self) -> ByteSize {
        match self {
            Self::Http(lease) => lease.len(),
            Self::Lane(lease) => lease.len(),
        }
    }

    pub(crate) fn extents(&self) -> &[Extent] {
        match self {
            Self::Http(lease) => lease.extents(),
            Self::Lane(lease) => lease.extents(),
        }
    }

    pub(crate) fn checksum(&self) -> Option<Checksum> {
        match self {
            Self::Http(lease) => lease.checksum(),
            Self::Lane(lease) => Some(lease.checksum()),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Self::Http(lease) => lease.deadline(),
            Self::Lane(lease) => lease.deadline(),
        }
    }

    /// Whether what was copied by now counts.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::Http(lease) => lease.is_live(),
            Self::Lane(lease) => lease.is_live(),
        }
    }

    /// Extends it. `false` if it had ended.
    pub(crate) async fn renew(&mut self, ttl: Duration) -> anyhow::Result<bool> {
        match self {
            Self::Http(lease) => match lease.renew(ttl).await {
                Ok(()) => Ok(true),
                Err(Error::LeaseEnded { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Self::Lane(lease) => Ok(lease.renew(ttl, CALL_WITHIN).await?),
        }
    }

    /// Ends it. Over the fast lane nobody answers to that.
    pub(crate) async fn release(self) -> anyhow::Result<()> {
        match self {
            Self::Http(lease) => Ok(lease.release().await?),
            Self::Lane(_) => Ok(()),
        }
    }
}
