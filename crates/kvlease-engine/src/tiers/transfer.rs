//! The arena as the source and the destination of transfers.

use std::sync::Arc;

use kvlease_cache::Extents;
use kvlease_sys::Digest;
use kvlease_tier::{Destination, Source, SourceChanged, Stat};

use crate::{clock::now, cursor::Cursor, held_space::HeldSpace, shared::Shared, write::Write};

/// Bytes of an object in the arena. Nothing keeps them: the tier compares their checksum.
#[derive(Debug)]
pub(super) struct ArenaSource {
    pub(super) shared: Arc<Shared>,
    pub(super) extents: Extents,
    pub(super) cursor: Cursor,
}

impl Source for ArenaSource {
    fn read(&mut self, mut into: &mut [u8], digest: &mut Digest) -> Result<(), SourceChanged> {
        while !into.is_empty() {
            let run = self.cursor.advance(&self.extents, into.len() as u64);
            let (now, later) = into.split_at_mut(run.len.bytes() as usize);
            self.shared.arena.read(run, now, Some(digest));
            into = later;
        }
        Ok(())
    }
}

/// A pending object that a tier writes into. Dropping it discards the object and wakes its readers.
#[derive(Debug)]
pub(super) struct ArenaDestination {
    pub(super) write: Write,
    pub(super) extents: Extents,
    pub(super) cursor: Cursor,
    pub(super) stat: Stat,
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

    fn complete(self: Box<Self>) {
        let Self { write, stat, .. } = *self;
        let shared = Arc::clone(&write.shared);
        write.seal(&mut shared.state(), stat.len, stat.checksum, now());
    }
}
