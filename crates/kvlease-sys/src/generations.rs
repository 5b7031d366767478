//! Table of generations: which object every slot of the catalog holds, shared with readers of
//! other processes.
//!
//! One cell of 8 bytes per slot, a native 64-bit number: the generation of the sealed object whose
//! extents are as they were when it was sealed, or 0. The daemon zeroes a cell before it hands out
//! the extents of its object again. A reader that finds the generation of its grant in the cell
//! before *and* after its copy has copied the object's bytes, without a request to the daemon.

use std::{io, os::fd::BorrowedFd};

use kvlease_types::{ByteSize, Extent, Offset};
use rustix::fs::SealFlags;

use crate::{Access, Mapping, Word};

/// Mapped table of generations. The daemon maps it for writing, readers for reading only.
#[derive(Debug)]
pub struct GenerationTable {
    mapping: Mapping,
    slots: u64,
}

impl GenerationTable {
    /// Length of a cell in bytes.
    pub const CELL_LEN: u64 = Word::LEN;

    /// Seals that fix the size of the table's file. A reader accepts a table only with these:
    /// otherwise a truncation could end it with `SIGBUS`.
    pub const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

    /// Maps the first `slots` cells of a file.
    ///
    /// # Errors
    ///
    /// The kernel's error, and one for more slots than the address space has room for.
    pub fn map(file: BorrowedFd<'_>, slots: u64, access: Access) -> io::Result<Self> {
        let len = slots.checked_mul(Self::CELL_LEN).ok_or(io::ErrorKind::InvalidInput)?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        Ok(Self { mapping: Mapping::new(file, len, access)?, slots })
    }

    /// Number of slots.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Cell of a slot, or `None` if the table has no such slot.
    pub fn cell(&self, slot: u32) -> Option<Word<'_>> {
        let at = Offset::new(u64::from(slot) * Self::CELL_LEN);
        let cell = Extent::new(at, ByteSize::new(Self::CELL_LEN));
        self.mapping.contains(cell).then(|| self.mapping.word(at))
    }
}
