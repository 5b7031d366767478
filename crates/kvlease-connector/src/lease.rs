//! Leases of either backend, and what has to hold before bytes that were read under one count.
//!
//! Offsets mean bytes of the segment that the daemon had when it granted the lease. So the mapping
//! is taken before the lease is asked for, and a copy counts only if, when it is done, the lease
//! lives, the name still is that of the mapped file, and the checksum of the private copy is right.

use std::ops::Deref;

use kvlease_http::Error;
use kvlease_lane::LaneLease;
use kvlease_types::Key;

use super::backend::{HttpLease, LeaseGuard, UnleasedObject};

/// Lease of either backend.
#[derive(Debug)]
pub(super) enum Lease {
    /// Over HTTP, in a segment that was attached by its name.
    Http(Box<HttpLease>),
    /// Over the fast lane, in an arena that came as a descriptor.
    Lane(LaneLease),
    /// None: the object was found in the published index, and nothing pins it.
    Unleased(UnleasedObject),
}

impl Lease {
    /// Whether the object stays in place until the lease ends.
    pub(super) fn pins(&self) -> bool {
        !matches!(self, Self::Unleased(_))
    }

    /// Checks that all extents lie within the mapping.
    pub(super) fn ensure_bounds(&self, key: &Key) -> Result<(), Error> {
        match self.attachment().measure(self.extents()) {
            Ok(_) => Ok(()),
            // The daemon has made a new segment meanwhile, which the lease is about.
            Err(_) if self.attachment().is_replaced() => Err(ended(key)),
            Err(source) => Err(Error::OutsideSegment { key: key.clone(), source }),
        }
    }

    /// Whether the bytes in the mapping are the object's.
    pub(super) fn is_live(&self) -> bool {
        self.is_unexpired() && !self.attachment().is_replaced()
    }

    /// Fails if the bytes in the mapping may be another object's by now.
    pub(super) fn ensure_live(&self, key: &Key) -> Result<(), Error> {
        if self.is_live() { Ok(()) } else { Err(ended(key)) }
    }

    /// The cheaper check before a copy: the segment's name is looked at after the copy.
    pub(super) fn ensure_unexpired(&self, key: &Key) -> Result<(), Error> {
        if self.is_unexpired() { Ok(()) } else { Err(ended(key)) }
    }

    /// Address and length of each part of the object, in their order.
    pub(super) fn parts(&self) -> impl Iterator<Item = (*const u8, usize)> {
        self.extents().iter().map(|extent| {
            let start = self.attachment().locate(*extent);
            // Within the mapping, so within the address space.
            (start.expect("every extent was checked"), extent.len.bytes() as usize)
        })
    }
}

fn ended(key: &Key) -> Error {
    Error::LeaseEnded { key: key.clone() }
}

impl Deref for Lease {
    type Target = dyn LeaseGuard + Send + Sync;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Http(lease) => lease,
            Self::Lane(lease) => lease,
            Self::Unleased(object) => object,
        }
    }
}

impl From<Box<HttpLease>> for Lease {
    fn from(lease: Box<HttpLease>) -> Self {
        Self::Http(lease)
    }
}

impl From<LaneLease> for Lease {
    fn from(lease: LaneLease) -> Self {
        Self::Lane(lease)
    }
}
