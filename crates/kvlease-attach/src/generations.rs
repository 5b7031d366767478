//! View of the daemon's table of generations.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use kvlease_sys::{Access, GenerationTable, Word};

use crate::descriptor::{invalid, sealed_len};

/// A reader's view of the daemon's [`GenerationTable`].
#[derive(Debug)]
pub struct GenerationsView {
    table: GenerationTable,
}

impl GenerationsView {
    /// Maps the table that the daemon passed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when the file is empty or its size is not sealed, and the
    /// kernel's error when it is not a file of shared memory.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let len = sealed_len(&descriptor, "the table of generations")?;
        match len / GenerationTable::CELL_LEN {
            0 => Err(invalid("the table of generations is empty")),
            slots => {
                let table = GenerationTable::map(descriptor.as_fd(), slots, Access::Read)?;
                Ok(Self { table })
            }
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> u64 {
        self.table.slots()
    }

    /// Generation of the object in the slot; 0 for an empty slot and for one beyond the table.
    ///
    /// Reads of the object's bytes that precede this call are complete before it, and later ones
    /// have not begun: the same call is right before and after a copy.
    pub fn get(&self, slot: u32) -> u64 {
        self.table.cell(slot).map_or(0, Word::generation)
    }
}
