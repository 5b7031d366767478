//! Bytes between the tier's buffers and the arena, with their checksum.

use bytes::Bytes;
use kvlease_sys::{Digest, copy::STREAM_MIN};
use kvlease_tier::{Destination, Loaded, Source, SourceChanged, Stat, TierError};
use tokio::task;

use crate::chunks::{CHUNK_LEN, Chunks};

/// Bytes that are copied at a stretch; other tasks run in between.
pub(crate) const STRETCH: usize = 512 << 10;

/// Bytes that a source copies at a time. They stay in the processor's cache, from where they are sent: copies
/// of [`STREAM_MIN`] and more go around the caches.
const COPY_LEN: usize = 32 << 10;

const _: () = assert!(COPY_LEN < STREAM_MIN);

/// Object on its way to its destination.
#[derive(Debug)]
pub(crate) struct Delivery {
    destination: Box<dyn Destination>,
    digest: Digest,
    stat: Stat,
    left: u64,
}

impl Delivery {
    /// Delivery of an object of this length and checksum.
    pub(crate) fn new(destination: Box<dyn Destination>, stat: Stat) -> Self {
        Self { destination, digest: Digest::new(), stat, left: stat.len.bytes() }
    }

    /// Appends the next bytes. Those behind the object's end do not reach the destination; they make
    /// [`Self::finish`] fail.
    pub(crate) async fn append(&mut self, bytes: &[u8]) {
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (fitting, rest) = bytes.split_at(len);
        for (number, stretch) in fitting.chunks(STRETCH).enumerate() {
            if number > 0 {
                task::yield_now().await;
            }
            self.destination.write(stretch, &mut self.digest);
        }
        self.left -= len as u64;
        if !rest.is_empty() {
            self.digest.update(rest);
        }
    }

    /// Appends parts one behind the other. The memory of each is free for others once it is delivered.
    pub(crate) async fn append_parts(&mut self, parts: Vec<Bytes>) {
        let mut stretch = 0;
        for part in parts {
            stretch += part.len();
            if stretch > STRETCH {
                task::yield_now().await;
                stretch = part.len();
            }
            self.append(&part).await;
        }
    }

    /// Publishes the object if all of it has come, and nothing but it.
    pub(crate) fn finish(self) -> Result<Loaded, TierError> {
        let found = self.digest.finish();
        if self.left > 0 || found != self.stat.checksum {
            return Err(TierError::Corrupt { expected: self.stat.checksum, found });
        }
        self.destination.complete();
        Ok(Loaded::Complete)
    }
}

/// Object on its way into the store.
#[derive(Debug)]
pub(crate) struct Intake {
    source: Box<dyn Source>,
    /// Of the bytes that were taken, unless the source notices if they change.
    digest: Option<Digest>,
    chunks: Chunks,
}

impl Intake {
    /// Intake of the bytes of a source, into chunks.
    pub(crate) fn new(source: Box<dyn Source>, chunks: &Chunks) -> Self {
        let digest = (!source.notices_changes()).then(Digest::new);
        Self { source, digest, chunks: chunks.clone() }
    }

    /// The first bytes of a value, and behind them the next `len` of the source.
    pub(crate) async fn take(
        &mut self,
        first: Vec<u8>,
        len: usize,
    ) -> Result<Vec<Bytes>, TierError> {
        let mut value = Vec::with_capacity(1 + len.div_ceil(CHUNK_LEN));
        if !first.is_empty() {
            value.push(Bytes::from(first));
        }
        for from in (0..len).step_by(CHUNK_LEN) {
            if from > 0 && from.is_multiple_of(STRETCH) {
                task::yield_now().await;
            }
            value.push(self.next((len - from).min(CHUNK_LEN))?);
        }
        Ok(value)
    }

    /// The next bytes of the source, at most [`CHUNK_LEN`].
    pub(crate) fn next(&mut self, len: usize) -> Result<Bytes, SourceChanged> {
        let mut chunk = self.chunks.take(len);
        for bytes in chunk.as_mut().chunks_mut(COPY_LEN) {
            self.source.read(bytes, self.digest.as_mut())?;
        }
        Ok(chunk.into())
    }

    /// Starts again from the first byte, if the source can.
    pub(crate) fn rewind(&mut self) -> bool {
        self.digest = self.digest.take().map(|_| Digest::new());
        self.source.rewind()
    }

    /// Says whether the bytes that were taken are the object's.
    pub(crate) fn check(&self, stat: Stat) -> Result<(), SourceChanged> {
        let is_right = match &self.digest {
            Some(digest) => digest.finish() == stat.checksum,
            None => self.source.is_unchanged(),
        };
        if is_right { Ok(()) } else { Err(SourceChanged) }
    }
}

#[cfg(test)]
mod tests {
    use kvlease_tier_conformance::MemorySource;
    use kvlease_types::ByteSize;

    use super::*;

    #[tokio::test]
    async fn a_source_that_notices_changes_is_asked_and_another_is_summed() {
        let zeros = vec![0; 3 * CHUNK_LEN + 5];
        let len = ByteSize::new(zeros.len() as u64);
        let of = |bytes: &[u8]| Stat { len, checksum: Digest::of(bytes) };
        let (right, wrong) = (of(&zeros), of(b"other bytes"));
        for (is_unchanged, stat, is_right) in [
            (Some(true), wrong, true),
            (Some(false), right, false),
            (None, right, true),
            (None, wrong, false),
        ] {
            let source = MemorySource::new(zeros.clone().into());
            let source = match is_unchanged {
                Some(is_unchanged) => source.noticing(is_unchanged),
                None => source,
            };
            let mut intake = Intake::new(Box::new(source), &Chunks::default());
            let value = intake.take(b"head".to_vec(), zeros.len()).await.expect("unchanged zeros");
            assert_eq!(value.concat(), [b"head".as_slice(), &zeros].concat());
            assert_eq!(intake.check(stat).is_ok(), is_right, "{is_unchanged:?}");
        }
    }
}
