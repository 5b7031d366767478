//! Reads from shared memory.
//!
//! Offsets mean bytes of the segment that the daemon had when it granted the lease. So the mapping
//! is taken before the lease is asked for, and a copy counts only if, when it is done, the lease
//! lives, the name still is that of the mapped file, and the checksum of the private copy is right.

use std::sync::Arc;

use kvlease_attach::{Attachment, ObjectCopy};
use kvlease_sys::{Digest, ExternalBuffer};
use kvlease_types::{Checksum, Key};

use super::{Inner, grant::Grant, inner::Reading};
use crate::{Error, stream::check};

/// A read that is the only one copies up to this length where it is: another thread would have
/// begun no sooner than it is done.
const COPY_ALONE_LEN_MAX: usize = 1 << 20;

/// A read among others copies up to this length where it is. The reads of a batch are driven by one
/// thread, which has the others' answers to take as well.
const COPY_AMONG_LEN_MAX: usize = 128 << 10;

/// A leased object and the mapping that its lease is about.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) lease: Grant,
    attachment: Arc<Attachment>,
    /// The digest of the bytes that were read as the head, if there is one and the daemon sends a
    /// checksum.
    head: Option<Box<Digest>>,
}

impl Leased {
    /// A lease on an object of this segment. Its extents are all inside.
    pub(super) fn new(key: &Key, lease: Grant, attachment: Arc<Attachment>) -> Result<Self, Error> {
        match attachment.measure(lease.extents()) {
            Ok(_) => Ok(Self { lease, attachment, head: None }),
            // The daemon has made a new segment meanwhile, which the lease is about.
            Err(_) if attachment.is_replaced() => Err(Error::LeaseEnded { key: key.clone() }),
            Err(source) => Err(Error::OutsideSegment { key: key.clone(), source }),
        }
    }

    /// Reads the object's first bytes.
    pub(super) fn read_head(&mut self, key: &Key, head_len: usize) -> Result<Vec<u8>, Error> {
        // No longer than the mapping, which is in memory.
        let len = self.lease.len().bytes().min(head_len as u64) as usize;
        if len == 0 {
            return Ok(Vec::new());
        }
        let mut head = vec![0; len];
        let mut digest = self.digest();
        let copied =
            self.attachment.copy_part(self.lease.extents(), 0, &mut head, digest.as_deref_mut());
        copied.map_err(|source| Error::OutsideSegment { key: key.clone(), source })?;
        self.head = digest;
        self.demand_live(key)?;
        Ok(head)
    }

    /// Reads what follows the first `from` bytes on this thread.
    pub(super) fn read_here(
        mut self,
        inner: &Arc<Inner>,
        key: &Key,
        from: usize,
        into: &mut [u8],
    ) -> Result<(), Error> {
        self.demand_lease(key)?;
        let (mut digest, from, extents) = (self.digest(), from as u64, self.lease.extents());
        let outside = |source| Error::OutsideSegment { key: key.clone(), source };
        let end = from + into.len() as u64;
        self.attachment.copy_part(extents, from, into, digest.as_deref_mut()).map_err(outside)?;
        if let Some(digest) = &mut digest {
            self.attachment.digest_rest(extents, end, digest).map_err(outside)?;
        }
        let actual = digest.map(|digest| digest.finish());
        self.finish(inner, key, actual)
    }

    /// Reads what follows the first `from` bytes, on the threads for copies if it is much.
    pub(super) async fn read(
        mut self,
        inner: &Arc<Inner>,
        key: &Key,
        from: usize,
        mut into: ExternalBuffer,
        reading: &Reading,
    ) -> (Option<ExternalBuffer>, Result<(), Error>) {
        let here_max = if reading.is_alone() { COPY_ALONE_LEN_MAX } else { COPY_AMONG_LEN_MAX };
        if self.len_to_read(from, into.len()) <= here_max as u64 {
            let read = self.read_here(inner, key, from, into.as_mut());
            return (Some(into), read);
        }
        if let Err(ended) = self.demand_lease(key) {
            return (Some(into), Err(ended));
        }
        let (extents, digest) = (self.lease.extents().to_vec(), self.digest());
        let attachment = Arc::clone(&self.attachment);
        let copy = ObjectCopy::new(attachment, extents, from as u64, into, digest);
        let copy = match copy {
            Ok(copy) => copy,
            Err(source) => {
                return (None, Err(Error::OutsideSegment { key: key.clone(), source }));
            }
        };
        let outcome = inner.copier.copy(copy).await;
        (Some(outcome.buffer), self.finish(inner, key, outcome.checksum))
    }

    /// What sums the bytes that are read next, after those of the head, if the daemon sends a
    /// checksum.
    fn digest(&mut self) -> Option<Box<Digest>> {
        self.lease.checksum()?;
        Some(self.head.take().unwrap_or_default())
    }

    /// How many bytes have to be read to fill a buffer of this length: if there is a checksum, all.
    fn len_to_read(&self, from: usize, into_len: usize) -> u64 {
        match self.lease.checksum() {
            Some(_) => self.lease.len().bytes() - from as u64,
            None => into_len as u64,
        }
    }

    /// Compares the whole object with its checksum, if the daemon sends one, where it is.
    pub(super) fn verify(&self, inner: &Arc<Inner>, key: &Key) -> Result<(), Error> {
        self.demand_live(key)?;
        let mut digest = self.lease.checksum().map(|_| Digest::new());
        if let Some(digest) = &mut digest {
            let summed = self.attachment.digest_rest(self.lease.extents(), 0, digest);
            summed.map_err(|source| Error::OutsideSegment { key: key.clone(), source })?;
        }
        self.finish(inner, key, digest.as_ref().map(Digest::finish))
    }

    /// Has the lease renewed for as long as this is there, where the daemon is known to renew.
    pub(super) fn keep_alive(&self, inner: &Inner) {
        self.lease.keep_alive(inner.config.client.timeouts.call);
    }

    /// The mapping that the lease is about.
    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Whether the bytes in the mapping are the object's.
    pub(super) fn is_live(&self) -> bool {
        self.lease.is_live() && !self.attachment.is_replaced()
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (*const u8, usize)> {
        self.lease.extents().iter().map(|extent| {
            let start = self.attachment.locate(*extent);
            // Within the mapping, so within the address space.
            (start.expect("every extent was checked"), extent.len.bytes() as usize)
        })
    }

    /// Decides whether what was read counts.
    fn finish(&self, inner: &Arc<Inner>, key: &Key, actual: Option<Checksum>) -> Result<(), Error> {
        self.demand_live(key)?;
        let Some(actual) = actual else { return Ok(()) };
        let checked = check(key, self.lease.checksum(), actual);
        if checked.is_err() {
            inner.remove_damaged(key, self.lease.runtime());
        }
        checked
    }

    /// What is asked before a copy: afterwards the segment's name is looked at as well.
    fn demand_lease(&self, key: &Key) -> Result<(), Error> {
        match self.lease.is_live() {
            true => Ok(()),
            false => Err(Error::LeaseEnded { key: key.clone() }),
        }
    }

    fn demand_live(&self, key: &Key) -> Result<(), Error> {
        match self.is_live() {
            true => Ok(()),
            false => Err(Error::LeaseEnded { key: key.clone() }),
        }
    }
}
