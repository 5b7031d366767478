//! Source of bytes in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use kvlease_sys::Digest;
use kvlease_tier::{Source, SourceChanged};

use crate::sample::Sample;

/// Source that reads from memory, and may change at a position.
#[derive(Debug)]
pub struct MemorySource {
    bytes: Arc<[u8]>,
    at: usize,
    changes_at: Option<usize>,
    rewinds: bool,
    /// Whether the bytes are still the object's, of a source that notices changes.
    notices: Option<bool>,
    pause: Duration,
    progress: Progress,
}

/// View of one source: how far it was read, and whether it was dropped.
#[derive(Clone, Default, Debug)]
pub struct Progress(Arc<AtomicUsize>);

impl MemorySource {
    /// Source of these bytes.
    pub fn new(bytes: Arc<[u8]>) -> Self {
        Self {
            bytes,
            at: 0,
            changes_at: None,
            rewinds: true,
            notices: None,
            pause: Duration::ZERO,
            progress: Progress::default(),
        }
    }

    /// Source of a sample's bytes.
    pub fn of(sample: &Sample) -> Self {
        Self::new(Arc::clone(sample.bytes()))
    }

    /// Reports that the bytes changed once the byte at this position is asked for.
    #[must_use]
    pub const fn changing_at(mut self, position: usize) -> Self {
        self.changes_at = Some(position);
        self
    }

    /// Can be read once.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.rewinds = false;
        self
    }

    /// Notices changes, and says that the bytes are still the object's, or are not. No tier may sum them.
    #[must_use]
    pub const fn noticing(mut self, is_unchanged: bool) -> Self {
        self.notices = Some(is_unchanged);
        self
    }

    /// Takes this much longer for every piece, as memory far away does.
    #[must_use]
    pub const fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// View of how far the source is read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Source for MemorySource {
    /// # Panics
    ///
    /// If the tier asks for more than is left, or sums what notices changes.
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        let (from, end) = (self.at, self.at + into.len());
        let left = self.bytes.len() - from;
        assert!(into.len() <= left, "the tier asked for {} bytes, {left} are left", into.len());
        let is_summed_twice = self.notices.is_some() && digest.is_some();
        assert!(!is_summed_twice, "a source that notices changes is summed");
        if self.changes_at.is_some_and(|position| position < end) {
            return Err(SourceChanged);
        }
        thread::sleep(self.pause);
        into.copy_from_slice(&self.bytes[from..end]);
        if let Some(digest) = digest {
            digest.update(into);
        }
        self.at = end;
        self.progress.0.store(end, Ordering::Release);
        Ok(())
    }

    fn rewind(&mut self) -> bool {
        if self.rewinds {
            self.at = 0;
        }
        self.rewinds
    }

    fn notices_changes(&self) -> bool {
        self.notices.is_some()
    }

    fn is_unchanged(&self) -> bool {
        self.notices.unwrap_or(true)
    }
}

impl Progress {
    /// Bytes that were read.
    pub fn read(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// True once the tier has dropped the source.
    pub fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
