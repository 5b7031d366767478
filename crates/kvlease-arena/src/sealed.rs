//! Memory that the daemon writes and other processes read: a memfd of this incarnation.
//!
//! It is sparse: parts that were never written take no memory. Its size is sealed, so that no reader
//! can meet a `SIGBUS` in it, and, from Linux 5.1 on, every write to it but those of the daemon's own
//! mapping.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use kvlease_sys::{Access, GenerationTable, reopen};
use rustix::{
    fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
};

/// Makes `len` bytes of zeros, named `name` in `/proc/PID/maps`, and maps them for writing with `map`.
/// Returns the mapping and a read-only descriptor, to be passed to readers.
pub(crate) fn create<T>(
    name: &str,
    len: u64,
    map: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
) -> io::Result<(T, OwnedFd)> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    // For kernels without the seal against writing: no other process can open it for that.
    fchmod(&file, Mode::RUSR)?;
    ftruncate(&file, len)?;
    let mapped = map(file.as_fd())?;
    // Only now: the seal against writing forbids further mappings for writing.
    let seals = GenerationTable::SIZE_SEALS | SealFlags::SEAL;
    match fcntl_add_seals(&file, seals | SealFlags::FUTURE_WRITE) {
        Err(Errno::INVAL) => fcntl_add_seals(&file, seals)?,
        done => done?,
    }
    Ok((mapped, reopen(file.as_fd(), Access::Read)?))
}
