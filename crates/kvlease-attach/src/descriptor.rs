//! Checks of files before they are mapped.

use std::{io, os::fd::OwnedFd};

use kvlease_sys::GenerationTable;
use rustix::fs::{fcntl_get_seals, fstat};

/// Length of the file that the daemon passed as `what`. It cannot change, so a reader never meets a
/// `SIGBUS` in it.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when its size is not sealed, and the kernel's error when it is not a
/// file of shared memory.
pub(crate) fn sealed_len(file: &OwnedFd, what: &str) -> io::Result<u64> {
    if !fcntl_get_seals(file)?.contains(GenerationTable::SIZE_SEALS) {
        return Err(invalid(format!("the size of {what} is not sealed")));
    }
    Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
}

/// Error of a file that is not what it should be.
pub(crate) fn invalid(fault: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.into())
}
