//! The daemon's table of generations.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use kvlease_sys::{Access, GenerationTable, Word};

use crate::sealed;

/// Name of the mapping in `/proc/PID/maps`.
const NAME: &str = "kvlease-generations";

/// The daemon's handle to the [`GenerationTable`]: its one writer.
#[derive(Debug)]
pub struct Generations {
    table: GenerationTable,
    /// Read-only, to be passed to readers.
    descriptor: OwnedFd,
}

impl Generations {
    /// A table of this many slots, at least one, all of them empty.
    ///
    /// # Errors
    ///
    /// The kernel's error when it gives no memfd, or when `/proc` is not mounted.
    pub fn create(slots: u64) -> io::Result<Self> {
        let slots = slots.max(1);
        let len = slots.checked_mul(GenerationTable::CELL_LEN);
        let len = len.ok_or(io::ErrorKind::InvalidInput)?;
        let map = |file: BorrowedFd<'_>| GenerationTable::map(file, slots, Access::ReadWrite);
        let (table, descriptor) = sealed::create(NAME, len, map)?;
        Ok(Self { table, descriptor })
    }

    /// Number of slots.
    pub fn slots(&self) -> u64 {
        self.table.slots()
    }

    /// Read-only descriptor, to be passed to readers.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Declares that the slot holds the object of this generation: all of its bytes are written.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn set(&self, slot: u32, generation: u64) {
        self.cell(slot).set_generation(generation);
    }

    /// Declares that the slot is empty. Has to precede every write to the extents of its object.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn clear(&self, slot: u32) {
        self.cell(slot).clear_generation();
    }

    fn cell(&self, slot: u32) -> Word<'_> {
        self.table.cell(slot).expect("the table has a cell for every slot of the catalog")
    }
}
