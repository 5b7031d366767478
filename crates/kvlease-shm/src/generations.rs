//! Which object every slot of the catalog holds, for readers of other processes to see.
//!
//! One cell of 8 bytes per slot, native 64-bit numbers: the generation of the sealed object whose
//! extents are as they were when it was sealed, or 0. The daemon zeroes a cell before anybody can
//! be handed the extents of its object. A reader that finds the generation it was granted in the
//! cell before *and* after its copy has copied the object's bytes, without asking anybody.
//!
//! The table is a memfd of this incarnation, so a restarted daemon has another one, and sparse:
//! slots that were never used take no memory. It is sealed against any change of its size, so that
//! no reader can meet a `SIGBUS` in it, and, from Linux 5.1 on, against being written to by anybody
//! but the daemon's own mapping.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::AtomicU64,
};

use kvlease_types::{ByteSize, Extent, Offset};
use rustix::{
    fs::{
        MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate,
        memfd_create,
    },
    io::Errno,
};

use crate::{
    descriptor::reopen,
    mapping::{Access, Mapping},
    words::{clear_generation, generation, set_generation},
};

/// Shown for the mapping in `/proc/PID/maps`.
const NAME: &str = "kvlease-generations";

const CELL_LEN: u64 = size_of::<u64>() as u64;

/// The size stays as it is for good. A reader accepts a table only with these seals.
const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// The daemon's handle: the one writer.
#[derive(Debug)]
pub struct Generations {
    cells: Cells,
    /// Read-only, to be passed to readers.
    descriptor: OwnedFd,
}

/// A reader's view of a daemon's table.
#[derive(Debug)]
pub struct GenerationsView {
    cells: Cells,
}

impl Generations {
    /// A table of this many slots, at least one, none of which holds an object.
    ///
    /// # Errors
    ///
    /// What the kernel says when it gives no memfd, or when `/proc` is not mounted.
    pub fn create(slots: u64) -> io::Result<Self> {
        let slots = slots.max(1);
        let len = slots.checked_mul(CELL_LEN).ok_or(io::ErrorKind::InvalidInput)?;
        let file = memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        // Where the seal against writing is unknown, nobody else shall open it for that either.
        fchmod(&file, Mode::RUSR)?;
        ftruncate(&file, len)?;
        let cells = Cells::map(file.as_fd(), slots, Access::ReadWrite)?;
        let seals = SIZE_SEALS | SealFlags::SEAL;
        match fcntl_add_seals(&file, seals | SealFlags::FUTURE_WRITE) {
            Err(Errno::INVAL) => fcntl_add_seals(&file, seals)?,
            done => done?,
        }
        Ok(Self { cells, descriptor: reopen(file.as_fd(), Access::Read)? })
    }

    /// How many slots there are.
    pub fn slots(&self) -> u64 {
        self.cells.slots
    }

    /// An open file that can only be read, to be passed to readers.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// The slot holds the object of this generation from now on: its bytes are all there.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn set(&self, slot: u32, generation: u64) {
        set_generation(self.cell(slot), generation);
    }

    /// The slot holds nothing any more. Whoever writes to the extents of the object that it held
    /// does so after this.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn clear(&self, slot: u32) {
        clear_generation(self.cell(slot));
    }

    fn cell(&self, slot: u32) -> &AtomicU64 {
        self.cells.get(slot).expect("the table has a cell for every slot of the catalog")
    }
}

impl GenerationsView {
    /// Maps the table that came from the daemon.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when the file is empty or its size is not sealed, and what the
    /// kernel says when it is no file of shared memory at all.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let invalid = |fault| io::Error::new(io::ErrorKind::InvalidData, fault);
        if !fcntl_get_seals(&descriptor)?.contains(SIZE_SEALS) {
            return Err(invalid("the table of generations can change its size"));
        }
        let len = u64::try_from(fstat(&descriptor)?.st_size).unwrap_or(0);
        match len / CELL_LEN {
            0 => Err(invalid("the table of generations is empty")),
            slots => Ok(Self { cells: Cells::map(descriptor.as_fd(), slots, Access::Read)? }),
        }
    }

    /// How many slots there are.
    pub fn slots(&self) -> u64 {
        self.cells.slots
    }

    /// The generation in the slot; 0 where none is and for slots that there are not.
    ///
    /// Reads of the object's bytes that come before this in the program are done before it, and
    /// those that come after it are not begun: the same call is right before and after a copy.
    pub fn get(&self, slot: u32) -> u64 {
        self.cells.get(slot).map_or(0, generation)
    }
}

/// The mapped table.
#[derive(Debug)]
struct Cells {
    mapping: Mapping,
    slots: u64,
}

impl Cells {
    fn map(file: BorrowedFd<'_>, slots: u64, access: Access) -> io::Result<Self> {
        let len = usize::try_from(slots * CELL_LEN).map_err(io::Error::other)?;
        Ok(Self { mapping: Mapping::new(file, len, access)?, slots })
    }

    fn get(&self, slot: u32) -> Option<&AtomicU64> {
        let offset = Offset::new(u64::from(slot) * CELL_LEN);
        let cell = self.mapping.locate(Extent::new(offset, ByteSize::new(CELL_LEN)))?;
        // SAFETY: the cell is inside a mapping that lives as long as `self`, of a file that cannot
        // shrink; it is aligned, since the mapping begins at a page; and everybody accesses it
        // atomically. Readers, whose mapping is read-only, only load.
        Some(unsafe { AtomicU64::from_ptr(cell.cast()) })
    }
}
