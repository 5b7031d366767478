//! Incarnation: which daemon the arena belongs to now, for readers that make no call.
//!
//! A reader of the published index holds no lease. Its index, and the table of generations, are
//! memory of one incarnation, which a later daemon cannot reach. So each daemon writes its epoch into
//! this file before it writes a byte into the arena. A reader that finds the epoch of its index here,
//! before and after its copy, has copied nothing of a later daemon.
//!
//! The file lies on the arena's tmpfs and stays the same file for as long as the arena: a reader has
//! it mapped. It has the header of all private files, whose three numbers are zero, and one word.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    os::unix::fs::FileExt,
};

use kvlease_sys::{Access, Mapping, reopen};
use kvlease_types::{Epoch, Offset};
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::{
    ArenaError,
    directory::{Directory, INCARNATION, INCARNATION_NEW},
    file_header::{FileHeader, HEADER_LEN},
};

const HEADER: FileHeader =
    FileHeader { magic: *b"KVLINCAR", version: 1, entry_len: 8, numbers: [0; 3] };

/// Place of the word.
const WORD: Offset = Offset::new(HEADER_LEN as u64);

const FILE_LEN: usize = HEADER_LEN + 8;

/// Word that says which daemon the arena belongs to.
#[derive(Debug)]
pub struct Incarnation {
    mapping: Mapping,
    file: File,
}

impl Incarnation {
    /// Opens the file of a reopened arena, or makes one.
    pub(crate) fn open(directory: &Directory) -> Result<Self, ArenaError> {
        let path = directory.private_path().join(INCARNATION);
        let failed = ArenaError::io("open the file of the incarnation", path);
        // A release before this file left none: then there are no readers without a lease.
        let file = find(directory).map_or_else(|| build(directory), Ok).map_err(failed)?;
        let path = directory.private_path().join(INCARNATION);
        let mapping = Mapping::new(file.as_fd(), FILE_LEN, Access::ReadWrite)
            .map_err(ArenaError::io("map the file of the incarnation", path))?;
        Ok(Self { mapping, file })
    }

    /// Makes the arena that of this daemon. Has to precede every write to the arena.
    pub fn begin(&self, epoch: Epoch) {
        let word = self.mapping.word(WORD);
        // Readers of the daemon before this one find nothing that they could mistake.
        word.clear_generation();
        word.set_generation(epoch.number());
    }

    /// Read-only descriptor, to be passed to a reader.
    ///
    /// # Errors
    ///
    /// The kernel's error, for example when `/proc` is not mounted.
    pub fn share(&self) -> io::Result<OwnedFd> {
        reopen(self.file.as_fd(), Access::Read)
    }
}

/// The file that an earlier daemon left, if it is whole.
fn find(directory: &Directory) -> Option<File> {
    let file = directory.open(INCARNATION, OFlags::RDWR).ok()?;
    let is_whole = file.metadata().is_ok_and(|found| found.len() == FILE_LEN as u64);
    let mut header = [0; HEADER_LEN];
    let read = is_whole && file.read_exact_at(&mut header, 0).is_ok();
    (read && HEADER.begins(&header)).then_some(file)
}

fn build(directory: &Directory) -> io::Result<File> {
    directory.discard(INCARNATION_NEW).map_err(io::Error::other)?;
    let file = directory.create(INCARNATION_NEW)?;
    // A store into a page that cannot be had would be a SIGBUS.
    fallocate(&file, FallocateFlags::empty(), 0, FILE_LEN as u64)?;
    file.write_all_at(&HEADER.encode(), 0)?;
    directory.rename(INCARNATION_NEW, INCARNATION)?;
    Ok(file)
}
