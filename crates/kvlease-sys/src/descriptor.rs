//! Descriptors that are passed to other processes.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::Access;

/// Opens the same file once more, with an access of its own. A duplicate of the descriptor would
/// not limit the access of the process that it is passed to.
///
/// # Errors
///
/// The kernel's error, for example when `/proc` is not mounted.
pub fn reopen(file: BorrowedFd<'_>, access: Access) -> io::Result<OwnedFd> {
    let access = match access {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(openat(CWD, path, access | OFlags::CLOEXEC, Mode::empty())?)
}
