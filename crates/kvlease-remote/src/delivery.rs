//! Bytes between the tier's buffers and the arena, with their checksum.

use std::io::Write;

use kvlease_sys::{Digest, copy::STREAM_MIN};
use kvlease_tier::{Destination, Loaded, Source, SourceChanged, Stat, TierError};
use tokio::task;

/// Bytes that are copied at a stretch; other tasks run in between.
const STRETCH: usize = 512 << 10;

/// Length of the buffer between a source and a writer; it stays in the processor's cache. Copies of
/// [`STREAM_MIN`] and more go around the caches.
const BUFFER_LEN: usize = 32 << 10;

const _: () = assert!(BUFFER_LEN < STREAM_MIN);

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
    digest: Digest,
}

impl Intake {
    /// Intake of the bytes of a source.
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        Self { source, digest: Digest::new() }
    }

    /// A buffer with these first bytes, and behind them the next `len` of the source.
    pub(crate) async fn take(&mut self, first: &[u8], len: usize) -> Result<Vec<u8>, TierError> {
        let mut bytes = Vec::with_capacity(first.len() + len);
        bytes.extend_from_slice(first);
        self.write(&mut bytes, len).await?;
        Ok(bytes)
    }

    /// Writes the next `len` bytes of the source into memory that is written once, from front to back.
    pub(crate) async fn write(
        &mut self,
        into: &mut (impl Write + Send),
        len: usize,
    ) -> Result<(), TierError> {
        let mut buffer = vec![0; len.min(BUFFER_LEN)];
        for from in (0..len).step_by(BUFFER_LEN) {
            if from > 0 && from.is_multiple_of(STRETCH) {
                task::yield_now().await;
            }
            let bytes = &mut buffer[..(len - from).min(BUFFER_LEN)];
            self.source.read(bytes, Some(&mut self.digest))?;
            into.write_all(bytes).expect("memory takes all bytes");
        }
        Ok(())
    }

    /// Says whether the bytes that were taken are the object's.
    pub(crate) fn check(&self, stat: Stat) -> Result<(), SourceChanged> {
        if self.digest.finish() == stat.checksum { Ok(()) } else { Err(SourceChanged) }
    }
}
