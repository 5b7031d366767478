//! Leased objects, over HTTP or over the fast lane.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_client::{
    Attachment, Error, Lease,
    lane::{IndexedObject, LaneLease},
};
use kvlease_harness::{Payload, WrongBytes};
use kvlease_sys::Digest;
use kvlease_types::{Checksum, Extent, Key};

use super::place::Way;
use crate::limits::CALL_WITHIN;

/// Content that was read of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// The whole of this version.
    Version(u64),
    /// There is no object.
    Absent,
    /// The lease ended before the copy did, so the copy does not count.
    Late,
    /// Bytes that belong to no version.
    WrongBytes(WrongBytes),
    /// Right bytes, and a checksum that differs from the daemon's.
    WrongChecksum,
}

impl Seen {
    pub(crate) fn of(key: &Key, bytes: &[u8]) -> Self {
        Payload::verify(key.as_str(), bytes).map_or_else(Self::WrongBytes, Self::Version)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version `{version}`"),
            Self::Absent => f.write_str("no object"),
            Self::Late => f.write_str("a copy that outlasted its lease"),
            Self::WrongBytes(wrong) => write!(f, "wrong bytes, {wrong}"),
            Self::WrongChecksum => f.write_str("another checksum than the daemon's"),
        }
    }
}

/// Lease of either way, or an object that was found in the published index, without one.
#[derive(Debug)]
pub(super) enum Grant {
    Http(Lease),
    Lane(LaneLease),
    Indexed(IndexedObject),
}

/// Leased object, and the mapping that it is in.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(super) key: Key,
    pub(super) grant: Grant,
    pub(super) arena: Arc<Attachment>,
}

impl Leased {
    /// Copies the object and checks it. The copy counts only if the lease lives afterwards, by this
    /// process's own clock from before it asked.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>) -> anyhow::Result<Seen> {
        let len: u64 = self.extents().iter().map(|extent| extent.len.bytes()).sum();
        buffer.resize(len as usize, 0);
        let checksum = self.arena.copy_out_digested(self.extents(), buffer)?;
        if !self.is_live() {
            return Ok(Seen::Late);
        }
        let seen = Seen::of(&self.key, buffer);
        let right = self.checksum() == Some(checksum) || !matches!(seen, Seen::Version(_));
        Ok(if right { seen } else { Seen::WrongChecksum })
    }

    /// Sums the object where it is. `None` if the lease ended first, or else whether the sum is the
    /// daemon's.
    pub(crate) fn verify_in_place(&self) -> anyhow::Result<Option<bool>> {
        let mut digest = Digest::new();
        self.arena.digest_rest(self.extents(), 0, &mut digest)?;
        let right = self.checksum() == Some(digest.finish());
        Ok(self.is_live().then_some(right))
    }

    /// Way that it came.
    pub(crate) const fn way(&self) -> Way {
        match &self.grant {
            Grant::Http(_) => Way::Http,
            Grant::Lane(_) | Grant::Indexed(_) => Way::Lane,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match &self.grant {
            Grant::Http(lease) => lease.deadline(),
            Grant::Lane(lease) => lease.deadline(),
            // Nothing holds it.
            Grant::Indexed(_) => Instant::now(),
        }
    }

    /// Extends it. `false` if it had ended.
    pub(crate) async fn renew(&mut self, ttl: Duration) -> anyhow::Result<bool> {
        match &mut self.grant {
            Grant::Http(lease) => match lease.renew(ttl).await {
                Ok(()) => Ok(true),
                Err(Error::LeaseEnded { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Grant::Lane(lease) => Ok(lease.renew(ttl, CALL_WITHIN).await?),
            Grant::Indexed(_) => Ok(false),
        }
    }

    /// Ends it. Over the fast lane the daemon sends no answer.
    pub(crate) async fn release(self) -> anyhow::Result<()> {
        match self.grant {
            Grant::Http(lease) => Ok(lease.release().await?),
            Grant::Lane(_) | Grant::Indexed(_) => Ok(()),
        }
    }

    fn extents(&self) -> &[Extent] {
        match &self.grant {
            Grant::Http(lease) => lease.extents(),
            Grant::Lane(lease) => lease.extents(),
            Grant::Indexed(object) => object.extents(),
        }
    }

    fn checksum(&self) -> Option<Checksum> {
        match &self.grant {
            Grant::Http(lease) => lease.checksum(),
            Grant::Lane(lease) => Some(lease.checksum()),
            Grant::Indexed(object) => Some(object.checksum()),
        }
    }

    fn is_live(&self) -> bool {
        match &self.grant {
            Grant::Http(lease) => lease.is_live(),
            Grant::Lane(lease) => lease.is_live(),
            Grant::Indexed(object) => object.is_live(),
        }
    }
}
