//! Open objects: found, and their rest not read yet.

use std::iter;

use kvlease_http::Error;
use kvlease_sys::ExternalBuffer;
use kvlease_types::{ByteSize, Key};

use super::{
    context::Reading,
    lease::Lease,
    leased_read::{HeadDigest, LeasedRead},
    streamed::Streamed,
    view::View,
};

/// Object whose first bytes were read, and whose rest can be read once.
///
/// Dropping it releases its lease.
#[derive(Debug)]
pub struct OpenObject {
    pub(super) reading: Reading,
    pub(super) key: Key,
    pub(super) len: ByteSize,
    pub(super) head: Vec<u8>,
    pub(super) source: Source,
}

/// Source of the rest.
#[derive(Debug)]
pub(super) enum Source {
    /// Shared memory.
    Leased(Lease, HeadDigest),
    /// HTTP.
    Streamed(Box<Streamed>),
}

impl OpenObject {
    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its first bytes, as many as were asked for or as there are.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether [`Self::read_rest_here`] can read it: it comes from shared memory, not over HTTP.
    pub fn is_shared(&self) -> bool {
        matches!(self.source, Source::Leased(..))
    }

    /// Whether a lease keeps it in place.
    pub(super) fn is_pinned(&self) -> bool {
        matches!(&self.source, Source::Leased(lease, _) if lease.pins())
    }

    /// Copies what follows the head into `into`, on the calling thread, until it is full. What the
    /// object has beyond that is checked and not copied.
    ///
    /// # Errors
    ///
    /// [`Error::LengthMismatch`] if the buffer is longer than what follows the head;
    /// [`Error::LeaseEnded`] and [`Error::Corrupt`]; [`Error::NoSharedMemory`] for an object that
    /// comes over HTTP.
    pub fn read_rest_here(self, into: &mut ExternalBuffer) -> Result<(), Error> {
        self.ensure_rest(into.len())?;
        let Self { reading, key, head, source, .. } = self;
        let Source::Leased(lease, digest) = source else { return Err(Error::NoSharedMemory) };
        let read = LeasedRead { key: &key, lease, from: head.len(), head: digest };
        let wanted = head.len() + into.len();
        reading.context.count(wanted, read.here(&reading.context, iter::once(into.as_mut())))
    }

    /// The object where it is, instead of a copy; the object itself if it comes over HTTP.
    ///
    /// # Errors
    ///
    /// The object, unchanged, if it is not in shared memory, or not leased.
    pub fn into_view(self) -> Result<View, Box<Self>> {
        match self.source {
            Source::Leased(lease, _) if lease.pins() => {
                Ok(View::new(&self.reading.context, self.key, lease))
            }
            Source::Leased(..) | Source::Streamed(_) => Err(Box::new(self)),
        }
    }

    /// Fails if less than `wanted` bytes follow the head.
    pub(super) fn ensure_rest(&self, wanted: usize) -> Result<(), Error> {
        let rest = self.len.bytes() - self.head.len() as u64;
        if wanted as u64 <= rest {
            return Ok(());
        }
        let (object, buffer) = (ByteSize::new(rest), ByteSize::new(wanted as u64));
        Err(Error::LengthMismatch { key: self.key.clone(), object, buffer })
    }
}
