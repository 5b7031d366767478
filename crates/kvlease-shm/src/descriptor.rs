//! Open files that are passed to other processes.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::mapping::Access;

/// Opens the same file once more, with an access of its own: whoever gets the result can do no
/// more with it than that, which a duplicate would not limit.
pub(crate) fn reopen(file: BorrowedFd<'_>, access: Access) -> io::Result<OwnedFd> {
    let access = match access {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(openat(CWD, path, access | OFlags::CLOEXEC, Mode::empty())?)
}
