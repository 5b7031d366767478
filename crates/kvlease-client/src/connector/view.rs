//! An object where it is: no copy, and the duty to look at the lease oneself.

use std::{sync::Arc, time::Duration};

use kvlease_attach::Attachment;
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{Inner, leased::Leased};
use crate::Error;

/// A leased object in the segment. Dropping it releases the lease; a lease over the fast lane is
/// renewed until then.
///
/// The addresses stay mapped for as long as the view lives, and the bytes there are the object's
/// while [`Self::is_live`]. Nothing is verified unless [`Self::verify`] is called: whoever copies
/// from them, a device for one, asks afterwards whether the view was live throughout.
#[derive(Debug)]
pub struct View {
    pub(super) inner: Arc<Inner>,
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

    /// The object's checksum, if the daemon sends one.
    pub fn checksum(&self) -> Option<Checksum> {
        self.leased.lease.checksum()
    }

    /// The mapping that the object is in.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.leased.attachment()
    }

    /// Where in it the object's parts are, in their order. All of them are within it.
    pub fn extents(&self) -> &[Extent] {
        self.leased.lease.extents()
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

    /// Reads the object where it is, on the calling thread, and compares it with its checksum, if
    /// the daemon sends one. A damaged one is removed, if the daemon can. What others write to the
    /// memory afterwards is not found out.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] and [`Error::Damaged`].
    pub fn verify(&self) -> Result<(), Error> {
        self.inner.count_read(self.len.bytes() as usize, self.leased.verify(&self.inner, &self.key))
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] if it has expired; [`Error::Refused`] by a daemon that renews nothing.
    pub async fn renew(&mut self, ttl: Duration) -> Result<(), Error> {
        let limit = self.inner.config.client.timeouts.call;
        self.leased.lease.renew(&self.key, ttl, limit).await
    }
}
