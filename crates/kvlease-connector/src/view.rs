//! An object where it is, in shared memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_http::Error;
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{context::ReadContext, lease::Lease, leased_read::verify};

/// Leased object in the segment. Dropping it releases the lease; a lease over the fast lane is
/// renewed until then.
///
/// The addresses stay mapped for as long as the view lives, and the bytes there are the object's
/// while [`Self::is_live`]. Nothing is verified unless [`Self::verify`] is called: a reader that
/// copies from the addresses, such as a device, asks afterwards whether the view was live throughout.
#[derive(Debug)]
pub struct View {
    context: Arc<ReadContext>,
    key: Key,
    lease: Lease,
}

impl View {
    /// A view under this lease, which is kept alive from now on.
    pub(super) fn new(context: &Arc<ReadContext>, key: Key, lease: Lease) -> Self {
        lease.keep_alive(context.terms.config.client.timeouts.call);
        Self { context: Arc::clone(context), key, lease }
    }

    /// The object's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.lease.object_len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == ByteSize::ZERO
    }

    /// The object's checksum, if the daemon sends one.
    pub fn checksum(&self) -> Option<Checksum> {
        self.lease.checksum()
    }

    /// The mapping that the object is in.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.lease.attachment()
    }

    /// Places of the object's parts in the mapping, in their order. All of them are within it.
    pub fn extents(&self) -> &[Extent] {
        self.lease.extents()
    }

    /// The address and the length of each of the object's parts, in their order. The memory is
    /// mapped read-only, and other processes may write to it at any time.
    pub fn parts(&self) -> impl Iterator<Item = (*const u8, usize)> {
        self.lease.parts()
    }

    /// End of the lease, counted from before the request left. A renewal moves it.
    pub fn deadline(&self) -> Instant {
        self.lease.deadline()
    }

    /// Whether the bytes are still the object's: the lease lives and the segment is the one that
    /// the daemon meant.
    pub fn is_live(&self) -> bool {
        self.lease.is_live()
    }

    /// Reads the object where it is, on the calling thread, and compares it with its checksum, if
    /// the daemon sends one. A corrupt one is reported to the daemon. Later writes to the memory
    /// are not noticed.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] and [`Error::Corrupt`].
    pub fn verify(&self) -> Result<(), Error> {
        let verified = verify(&self.context, &self.key, &self.lease);
        self.context.count(self.len().bytes() as usize, verified)
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] if it has expired; [`Error::Refused`] by a daemon that renews nothing.
    pub async fn renew(&mut self, ttl: Duration) -> Result<(), Error> {
        self.context.backends.renew(&self.key, &mut self.lease, ttl).await
    }
}
