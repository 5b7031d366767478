//! What the catalog has, kept through a `kill -9`.
//!
//! A restarted daemon finds its arena with all bytes, and has to know whose they are. So every
//! object that is sealed is recorded here, and struck out before anybody else can be handed its
//! extents. The file lies on the arena's tmpfs and is mapped: a store into it survives the process
//! the instant it is made, without a system call. It does not survive a reboot, and neither do the
//! bytes.
//!
//! Nothing is ever read from it but at the start. A daemon that starts reads the manifest of the one
//! before it, writes a manifest of its own with what it took over, and only then gives that the old
//! one's name: whenever it is killed, one of them is whole.
//!
//! Layout, version 1, all numbers little-endian. The file is made of cells of 256 bytes; the first
//! 16 are the header:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `KVLRECRD` |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes per cell, 256 |
//! | 16..24 | length of the arena in bytes |
//! | 24..32 | inode of the arena |
//! | 32..40 | boot that the times count from (XXH3-64 of the kernel's boot id) |
//! | 40..48 | XXH3-64 of bytes 0..40 |
//! | 48..4096 | zero |
//!
//! An object has one cell, or a chain of them if its names are long or its extents many:
//!
//! | bytes | first cell | every further cell |
//! |---|---|---|
//! | 0..8 | XXH3-64 of the cell's number (4 bytes), the length (4 bytes) and the entry; never 0 | 0 |
//! | 8..12 | number of the next cell, 0 for none | the same |
//! | 12..16 | length of the entry in bytes | 0 |
//! | 16..256 | the entry's first 240 bytes | its next 240 bytes |
//!
//! A cell is written from behind, its first 8 bytes last, and struck out by zeroing them. So a
//! cell that does not begin with the sum of its entry is free, part of a chain, or was never
//! finished.
//!
//! The entry:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | generation: of two objects the later one has the larger |
//! | 8..16 | when it was sealed, nanoseconds of `CLOCK_BOOTTIME` |
//! | 16..24 | length of the object in bytes |
//! | 24..32 | XXH3-64 of the object's bytes |
//! | 32..34 | number of extents, n |
//! | 34..36 | length of the bucket's name in bytes, b |
//! | 36..38 | length of the key in bytes, k |
//! | 38..40 | zero |
//! | 40..40+16n | the extents: offset in the arena and length, 8 bytes each |
//! | ..+b | the bucket's name, UTF-8 |
//! | ..+k | the key, UTF-8 |

mod cells;
mod entry;
mod file;
mod header;

use std::{fmt, sync::Arc};

use kvlease_types::SealedObject;

use entry::SUMMED_LEN;

pub use file::ManifestFile;
pub(crate) use file::{FILE, UNDER_CONSTRUCTION, build, find, publish, stated_capacity};
pub(crate) use header::Header;

/// Bytes per cell.
const CELL_LEN: usize = 256;
/// Bytes of an entry that one cell holds.
const CELL_ROOM: usize = CELL_LEN - cells::HEAD_LEN;
/// The cells that the header takes.
const HEADER_CELLS: u32 = 16;

/// What a manifest was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManifestOrigin {
    /// The arena is new: there is nothing to know.
    Created,
    /// The objects of an earlier daemon are known.
    Kept,
    /// There was none beside an arena that is there.
    Missing,
    /// It was written by a daemon of another version, in a layout that this one does not know.
    OtherVersion(u32),
    /// It belongs to another arena.
    OtherArena,
    /// It was of another boot.
    OtherBoot,
    /// It has no header of ours.
    Corrupt,
}

impl fmt::Display for ManifestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("the arena is new"),
            Self::Kept => f.write_str("the manifest of an earlier daemon was read"),
            Self::Missing => f.write_str("an earlier daemon left no manifest beside the arena"),
            Self::OtherVersion(version) => write!(
                f,
                "the manifest is of version {version}, and this daemon reads version {}",
                header::VERSION
            ),
            Self::OtherArena => f.write_str("the manifest belongs to another arena"),
            Self::OtherBoot => f.write_str("the manifest was made before the machine was booted"),
            Self::Corrupt => f.write_str("the manifest's header is corrupt"),
        }
    }
}

/// What an earlier daemon recorded.
#[derive(Debug)]
pub struct StoredManifest {
    origin: ManifestOrigin,
    /// All of the file that holds anything.
    bytes: Vec<u8>,
}

impl StoredManifest {
    /// There is nothing to know, for that reason.
    pub(crate) fn nothing(origin: ManifestOrigin) -> Self {
        Self { origin, bytes: Vec::new() }
    }

    /// What is in the bytes of a manifest, whatever arena that belongs to.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { origin: ManifestOrigin::Kept, bytes }
    }

    /// Gives every cell of a manifest that an entry of one cell could be in the sum of that entry:
    /// for tests of what is behind sums.
    #[doc(hidden)]
    pub fn seal(bytes: &mut [u8]) {
        entry::seal(bytes);
    }

    /// What it was made from.
    pub fn origin(&self) -> ManifestOrigin {
        self.origin
    }

    /// Tells `each` of every object that was recorded whole, in no order. Returns how many entries
    /// were not: a daemon that is killed leaves one at most.
    pub fn for_each(&self, each: impl FnMut(&SealedObject<'_>)) -> u64 {
        entry::for_each(&self.bytes, each)
    }
}

/// The manifest of this daemon: which objects it has, by the slots of its catalog.
#[derive(Debug)]
pub struct Manifest {
    file: Arc<ManifestFile>,
    /// First cell of each slot's object; 0 for none.
    heads: Vec<u32>,
    /// Cells that were used and are free.
    free: Vec<u32>,
    /// Kept, so that no entry needs memory of its own.
    buffer: Vec<u8>,
    /// The cells of the entry being written, likewise.
    chain: Vec<u32>,
}

impl Manifest {
    pub(crate) fn new(file: Arc<ManifestFile>) -> Self {
        let (heads, free, chain, buffer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { file, heads, free, buffer, chain }
    }

    /// The file behind it, whose memory is to be kept ahead of what is used.
    pub fn file(&self) -> &Arc<ManifestFile> {
        &self.file
    }

    /// Records the object that was sealed in `slot`. Returns false if there is no memory for that:
    /// then the object will not be known after a restart.
    pub fn insert(&mut self, slot: u32, object: &SealedObject<'_>) -> bool {
        self.delete(slot);
        self.buffer.clear();
        self.buffer.resize(SUMMED_LEN, 0);
        entry::encode(object, &mut self.buffer);
        self.chain.clear();
        for _ in 0..(self.buffer.len() - SUMMED_LEN).div_ceil(CELL_ROOM) {
            match self.take_cell() {
                Some(cell) => self.chain.push(cell),
                None => {
                    self.free.append(&mut self.chain);
                    return false;
                }
            }
        }
        self.file.cells().write(&self.chain, &mut self.buffer);
        let slot = slot as usize;
        if self.heads.len() <= slot {
            self.heads.resize(slot + 1, 0);
        }
        self.heads[slot] = self.chain[0];
        true
    }

    /// Strikes out the object of `slot`, if one is recorded.
    pub fn delete(&mut self, slot: u32) {
        let Some(head) = self.heads.get_mut(slot as usize).filter(|head| **head != 0) else {
            return;
        };
        let head = std::mem::take(head);
        self.file.cells().delete(head, &mut self.free);
    }

    fn take_cell(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| self.file.take())
    }
}

#[cfg(test)]
mod tests;
