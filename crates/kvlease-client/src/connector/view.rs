//! An object where it is: no copy, and the duty to look at the lease oneself.

use std::time::Duration;

use kvlease_types::{ByteSize, Key};

use super::leased::Leased;
use crate::Error;

/// A leased object in the segment. Dropping it releases the lease.
///
/// The addresses stay mapped for as long as the view lives, and the bytes there are the object's
/// while [`Self::is_live`]. Nothing is verified: whoever copies from them, a device for one, asks
/// afterwards whether the view was live throughout, and compares the checksum if it matters.
#[derive(Debug)]
pub struct View {
    pub(super) key: Key,
    pub(super) len: ByteSize,
    pub(super) leased: Leased,
}

impl View {
    /// The object's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// The address and the length of each of the object's parts, in their order. The memory is
    /// mapped read-only, and other processes may write to it at any time.
    pub fn parts(&self) -> impl Iterator<Item = (*const u8, usize)> {
        self.leased.parts()
    }

    /// Whether the bytes are still the object's: the lease lives and the segment is the one that
    /// the daemon meant.
    pub fn is_live(&self) -> bool {
        self.leased.is_live()
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] if it has expired; [`Error::Refused`] by a daemon that renews nothing.
    pub async fn renew(&mut self, ttl: Duration) -> Result<(), Error> {
        self.leased.lease.renew(ttl).await
    }
}
