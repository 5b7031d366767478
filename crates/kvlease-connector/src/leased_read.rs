//! Copies of leased objects, verified on the way.

use std::sync::Arc;

use kvlease_attach::{ObjectCopy, OutOfBounds};
use kvlease_http::Error;
use kvlease_sys::{Digest, ExternalBuffer};
use kvlease_types::Key;

use super::{
    context::{ReadContext, Reading},
    lease::Lease,
};

/// The longest copy on the thread of the call, for a read that is the only one: another thread would
/// have begun no sooner than the copy is done.
const COPY_ALONE_LEN_MAX: usize = 1 << 20;

/// The same for a read among others. One thread drives the reads of a batch, and has the other
/// answers to take as well.
const COPY_AMONG_LEN_MAX: usize = 128 << 10;

/// Digest of an object's first bytes. `None` if there are none, or if the daemon sends no checksum.
pub(super) type HeadDigest = Option<Box<Digest>>;

/// Reads an object's first bytes.
pub(super) fn read_head(
    key: &Key,
    lease: &Lease,
    head_len: usize,
) -> Result<(Vec<u8>, HeadDigest), Error> {
    // No longer than the mapping, which is in memory.
    let len = lease.object_len().bytes().min(head_len as u64) as usize;
    if len == 0 {
        return Ok((Vec::new(), None));
    }
    let mut head = vec![0; len];
    let mut digest = lease.checksum().map(|_| Box::default());
    let copied = lease.attachment().copy_part(lease.extents(), 0, &mut head, digest.as_deref_mut());
    copied.map_err(|source| outside(key, source))?;
    lease.ensure_live(key)?;
    Ok((head, digest))
}

/// Compares a whole object with its checksum, if the daemon sends one, where it is.
pub(super) fn verify(context: &ReadContext, key: &Key, lease: &Lease) -> Result<(), Error> {
    lease.ensure_live(key)?;
    let mut digest = lease.checksum().map(|_| Digest::new());
    if let Some(digest) = &mut digest {
        let summed = lease.attachment().digest_rest(lease.extents(), 0, digest);
        summed.map_err(|source| outside(key, source))?;
    }
    context.judge(key, lease, digest.as_ref().map(Digest::finish))
}

/// Read of what follows an object's first bytes.
#[derive(Debug)]
pub(super) struct LeasedRead<'a> {
    pub(super) key: &'a Key,
    pub(super) lease: Lease,
    /// How many first bytes were read before, and their digest.
    pub(super) from: usize,
    pub(super) head: HeadDigest,
}

impl LeasedRead<'_> {
    /// Reads on this thread.
    pub(super) fn here(mut self, context: &ReadContext, into: &mut [u8]) -> Result<(), Error> {
        self.lease.ensure_unexpired(self.key)?;
        let mut digest = self.digest();
        let (attachment, extents) = (self.lease.attachment(), self.lease.extents());
        let (from, end) = (self.from as u64, (self.from + into.len()) as u64);
        let copied = attachment.copy_part(extents, from, into, digest.as_deref_mut());
        copied.map_err(|source| outside(self.key, source))?;
        if let Some(digest) = &mut digest {
            // What the object has beyond the buffer is summed as well.
            let summed = attachment.digest_rest(extents, end, digest);
            summed.map_err(|source| outside(self.key, source))?;
        }
        let actual = digest.map(|digest| digest.finish());
        context.judge(self.key, &self.lease, actual)
    }

    /// Reads on the threads for copies if the rest is long. Gives the buffer back, if nothing is
    /// written into it any more.
    pub(super) async fn anywhere(
        mut self,
        reading: &Reading,
        mut into: ExternalBuffer,
    ) -> (Option<ExternalBuffer>, Result<(), Error>) {
        let context = &*reading.context;
        let here_max = if reading.is_alone() { COPY_ALONE_LEN_MAX } else { COPY_AMONG_LEN_MAX };
        if self.len_to_read(into.len()) <= here_max as u64 {
            let read = self.here(context, into.as_mut());
            return (Some(into), read);
        }
        if let Err(ended) = self.lease.ensure_unexpired(self.key) {
            return (Some(into), Err(ended));
        }
        let (attachment, extents) =
            (Arc::clone(self.lease.attachment()), self.lease.extents().to_vec());
        let copy = ObjectCopy::new(attachment, extents, self.from as u64, into, self.digest());
        let copy = match copy {
            Ok(copy) => copy,
            Err(source) => return (None, Err(outside(self.key, source))),
        };
        let outcome = context.copier.copy(copy).await;
        (Some(outcome.buffer), context.judge(self.key, &self.lease, outcome.checksum))
    }

    /// Digest to go on with, if the daemon sends a checksum.
    fn digest(&mut self) -> HeadDigest {
        self.lease.checksum()?;
        Some(self.head.take().unwrap_or_default())
    }

    /// How many bytes have to be read to fill a buffer of this length: if there is a checksum, all.
    fn len_to_read(&self, into_len: usize) -> u64 {
        match self.lease.checksum() {
            Some(_) => self.lease.object_len().bytes() - self.from as u64,
            None => into_len as u64,
        }
    }
}

fn outside(key: &Key, source: OutOfBounds) -> Error {
    Error::OutsideSegment { key: key.clone(), source }
}
