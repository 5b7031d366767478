//! Copies of leased objects, verified on the way.

use std::sync::Arc;

use kvlease_attach::{Attachment, ObjectCopy, OutOfBounds};
use kvlease_http::Error;
use kvlease_sys::Digest;
use kvlease_types::{Checksum, Extent, Key};

use super::{
    context::{ReadContext, Reading},
    destination::Destination,
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
    pub(super) fn here<'b>(
        mut self,
        context: &ReadContext,
        into: impl Iterator<Item = &'b mut [u8]>,
    ) -> Result<(), Error> {
        self.lease.ensure_unexpired(self.key)?;
        let digest = self.digest();
        let (attachment, extents) = (self.lease.attachment(), self.lease.extents());
        let actual = copy_parts(attachment, extents, self.from as u64, into, digest);
        let actual = actual.map_err(|source| outside(self.key, source))?;
        context.judge(self.key, &self.lease, actual)
    }

    /// Reads on the threads for copies if the rest is long. Gives the buffers back, if nothing is
    /// written into them any more.
    pub(super) async fn anywhere(
        mut self,
        reading: &Reading,
        mut into: Destination,
    ) -> (Option<Destination>, Result<(), Error>) {
        let context = &*reading.context;
        let here_max = if reading.is_alone() { COPY_ALONE_LEN_MAX } else { COPY_AMONG_LEN_MAX };
        if self.len_to_read(into.len()) <= here_max as u64 {
            let read = self.here(context, into.parts());
            return (Some(into), read);
        }
        if let Err(ended) = self.lease.ensure_unexpired(self.key) {
            return (Some(into), Err(ended));
        }
        let (attachment, extents) =
            (Arc::clone(self.lease.attachment()), self.lease.extents().to_vec());
        let (from, digest) = (self.from as u64, self.digest());
        let (back, copied) = match into {
            Destination::Whole(into) => {
                match ObjectCopy::new(attachment, extents, from, into, digest) {
                    Err(source) => (None, Err(source)),
                    Ok(copy) => {
                        let outcome = context.copier.copy(copy).await;
                        (Some(outcome.buffer.into()), Ok(outcome.checksum))
                    }
                }
            }
            // The parts of one object belong to one thread, as its checksum does.
            Destination::Scattered(_) => {
                let copy = move || {
                    let copied = copy_parts(&attachment, &extents, from, into.parts(), digest);
                    (Some(into), copied)
                };
                context.copier.run(copy).await
            }
        };
        let judge = |actual| context.judge(self.key, &self.lease, actual);
        (back, copied.map_err(|source| outside(self.key, source)).and_then(judge))
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

/// Copies what follows an object's first `from` bytes into the parts, until all are full. With a
/// digest of those first bytes the whole object is summed, what it has beyond the parts as well.
fn copy_parts<'b>(
    attachment: &Attachment,
    extents: &[Extent],
    from: u64,
    into: impl Iterator<Item = &'b mut [u8]>,
    mut digest: HeadDigest,
) -> Result<Option<Checksum>, OutOfBounds> {
    let end = attachment.copy_parts(extents, from, into, digest.as_deref_mut())?;
    if let Some(digest) = &mut digest {
        attachment.digest_rest(extents, end, digest)?;
    }
    Ok(digest.map(|digest| digest.finish()))
}

fn outside(key: &Key, source: OutOfBounds) -> Error {
    Error::OutsideSegment { key: key.clone(), source }
}
