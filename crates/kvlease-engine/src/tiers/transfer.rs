//! The arena as the source and the destination of transfers.

use std::sync::Arc;

use kvlease_cache::Extents;
use kvlease_sys::{Digest, MappedExtent};
use kvlease_tier::{Destination, Name, Source, SourceChanged, Stat};

use super::level::Level;
use crate::{clock::now, cursor::Cursor, held_space::HeldSpace, shared::Shared, write::Write};

/// Run of an object in the arena, as memory for transfers without a copy.
#[derive(Debug)]
pub(super) struct InPlace {
    level: Arc<Level>,
    /// Kept from the start of a transfer, since a tier moves either all bytes in place or none.
    is_worth_it: bool,
}

impl InPlace {
    /// For an object that the device reads. The kernel's work for pages takes less of the processor than a
    /// copy. With small ones some devices are slower, so that objects are copied while others wait.
    pub(super) fn of_source(shared: &Shared, level: &Arc<Level>, others_wait: bool) -> Self {
        let is_worth_it = shared.has_huge_pages() || !others_wait;
        Self { level: Arc::clone(level), is_worth_it }
    }

    /// For an object that the device writes. That is worth it on huge pages only: on small ones the
    /// kernel's work for each page, which it has to mark as written, costs as much as the copy.
    pub(super) fn of_destination(shared: &Shared, level: &Arc<Level>) -> Self {
        Self { level: Arc::clone(level), is_worth_it: shared.has_huge_pages() }
    }

    fn memory(
        &self,
        shared: &Shared,
        extents: &Extents,
        cursor: &mut Cursor,
        len: u64,
    ) -> Option<Vec<MappedExtent>> {
        if !self.is_worth_it {
            return None;
        }
        let (mut left, mut runs) = (len, Vec::new());
        while left > 0 {
            let run = cursor.advance(extents, left);
            left -= run.len.bytes();
            runs.push(shared.arena.memory(run).expect("extents are of the populated arena"));
        }
        self.level.counters.in_place.add(len);
        Some(runs)
    }
}

/// Bytes of an object in the arena. Nothing keeps them, and their generation says whether they are still
/// the object's.
#[derive(Debug)]
pub(super) struct ArenaSource {
    pub(super) shared: Arc<Shared>,
    pub(super) name: Name,
    pub(super) generation: u64,
    /// Whether the bytes were found to match their checksum.
    pub(super) verified: bool,
    pub(super) extents: Extents,
    pub(super) cursor: Cursor,
    pub(super) in_place: InPlace,
}

impl Source for ArenaSource {
    fn read(
        &mut self,
        mut into: &mut [u8],
        mut digest: Option<&mut Digest>,
    ) -> Result<(), SourceChanged> {
        while !into.is_empty() {
            let run = self.cursor.advance(&self.extents, into.len() as u64);
            let (now, later) = into.split_at_mut(run.len.bytes() as usize);
            self.shared.arena.read(run, now, digest.as_deref_mut());
            into = later;
        }
        Ok(())
    }

    fn rewind(&mut self) -> bool {
        self.cursor = Cursor::default();
        true
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        self.in_place.memory(&self.shared, &self.extents, &mut self.cursor, len)
    }

    fn notices_changes(&self) -> bool {
        self.verified
    }

    fn is_unchanged(&self) -> bool {
        let (bucket, key) = (self.name.bucket.as_str(), self.name.key.as_str());
        self.shared.state().catalog.scrub_candidate(bucket, key, Some(self.generation)).is_some()
    }
}

/// A pending object that a tier writes into. Dropping it discards the object and wakes its readers.
#[derive(Debug)]
pub(super) struct ArenaDestination {
    pub(super) write: Write,
    pub(super) extents: Extents,
    pub(super) cursor: Cursor,
    pub(super) stat: Stat,
    pub(super) in_place: InPlace,
    /// Its part of the space of all promotions.
    pub(super) _held: HeldSpace,
}

impl Destination for ArenaDestination {
    fn write(&mut self, mut bytes: &[u8], digest: &mut Digest) {
        while !bytes.is_empty() {
            let run = self.cursor.advance(&self.extents, bytes.len() as u64);
            let (now, later) = bytes.split_at(run.len.bytes() as usize);
            self.write.shared.arena.write(run.offset, now, digest);
            bytes = later;
        }
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        self.in_place.memory(&self.write.shared, &self.extents, &mut self.cursor, len)
    }

    fn complete(self: Box<Self>) {
        let Self { write, stat, .. } = *self;
        let shared = Arc::clone(&write.shared);
        write.seal(&mut shared.state(), stat.len, stat.checksum, now());
    }
}
