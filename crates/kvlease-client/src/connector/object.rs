//! An object that was found and not read yet.

use std::sync::Arc;

use kvlease_sys::ExternalBuffer;
use kvlease_types::{ByteSize, Key};

use super::{Inner, inner::Reading, leased::Leased, streamed::Streamed, view::View};
use crate::Error;

/// An object whose first bytes were read, and whose rest can be read once.
///
/// Dropping it ends what holds it at the daemon.
#[derive(Debug)]
pub struct OpenObject {
    pub(super) inner: Arc<Inner>,
    pub(super) key: Key,
    pub(super) len: ByteSize,
    pub(super) head: Vec<u8>,
    pub(super) source: Source,
    pub(super) reading: Reading,
}

/// Where the rest comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Shared memory.
    Leased(Leased),
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
        matches!(self.source, Source::Leased(_))
    }

    /// Copies what follows the head into `into`, on the calling thread, until it is full. What the
    /// object has beyond that is checked and not copied.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`] if the buffer is longer than what follows the head;
    /// [`Error::LeaseEnded`] and [`Error::Damaged`]; [`Error::NoSharedMemory`] for an object that
    /// comes over HTTP.
    pub fn read_rest_here(self, into: &mut ExternalBuffer) -> Result<(), Error> {
        self.demand_rest(into.len())?;
        let Self { inner, key, head, source, .. } = self;
        let Source::Leased(leased) = source else { return Err(Error::NoSharedMemory) };
        let read = leased.read_here(&inner, &key, head.len(), into.as_mut());
        inner.count_read(head.len() + into.len(), read)
    }

    /// Like [`Self::read_rest_here`], on the threads for copies or over HTTP. The buffer is gone
    /// when the future is done; a future that is dropped leaves a copy that has begun to end by
    /// itself. If the lease ends meanwhile, the object is leased and read once more.
    ///
    /// # Errors
    ///
    /// Those of [`Self::read_rest_here`] and of any call.
    pub async fn read_rest(self, into: ExternalBuffer) -> Result<(), Error> {
        self.demand_rest(into.len())?;
        let (inner, key) = (Arc::clone(&self.inner), self.key.clone());
        let (len, head) = (self.len, self.head.clone());
        let (into, read) = self.read_once(into).await;
        match (read, into) {
            (Err(Error::LeaseEnded { .. }), Some(into)) => {
                let again = Box::pin(inner.open_once(&key, head.len())).await?;
                let again = again.filter(|again| again.len == len && again.head == head);
                let again = again.ok_or(Error::LeaseEnded { key })?;
                Box::pin(again.read_once(into)).await.1
            }
            (read, _) => read,
        }
    }

    /// Reads the rest into nothing, to find out whether the object is whole and good: for objects
    /// whose head makes no sense. A damaged one is removed, if the daemon can. Without a checksum
    /// from the daemon nothing is found out.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]; those of [`Self::read_rest`].
    pub async fn verify(self) -> Result<(), Error> {
        self.read_rest(ExternalBuffer::of_vec(Vec::new()).0).await
    }

    /// Reads the rest and gives the buffer back, if nobody writes into it any more.
    ///
    /// Reads of a batch are futures side by side, so what few of them come to has a box of its own.
    async fn read_once(self, into: ExternalBuffer) -> (Option<ExternalBuffer>, Result<(), Error>) {
        let Self { inner, key, head, source, reading, .. } = self;
        let len = head.len() + into.len();
        let (into, read) = match source {
            Source::Leased(leased) => leased.read(&inner, &key, head.len(), into, &reading).await,
            Source::Streamed(streamed) => Box::pin(streamed.read(&inner, &key, &head, into)).await,
        };
        (into, inner.count_read(len, read))
    }

    /// The object where it is, instead of a copy; the object itself if it comes over HTTP.
    ///
    /// # Errors
    ///
    /// The object, unchanged, if it is not in shared memory.
    pub fn into_view(self) -> Result<View, Box<Self>> {
        match self.source {
            Source::Leased(leased) => {
                leased.keep_alive(&self.inner);
                Ok(View { inner: self.inner, key: self.key, len: self.len, leased })
            }
            Source::Streamed(_) => Err(Box::new(self)),
        }
    }

    fn demand_rest(&self, wanted: usize) -> Result<(), Error> {
        let rest = self.len.bytes() - self.head.len() as u64;
        if wanted as u64 <= rest {
            return Ok(());
        }
        let (object, buffer) = (ByteSize::new(rest), ByteSize::new(wanted as u64));
        Err(Error::TooShort { key: self.key.clone(), object, buffer })
    }
}
