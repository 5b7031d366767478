//! Identity of a file, whatever its names.

use std::{io, os::fd::AsFd};

use rustix::{
    fs::{AtFlags, Stat, statat},
    io::Errno,
    path::Arg,
};

/// Identity of a file, whatever its names: two names with one identity are the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// Device number of its file system.
    pub device: u64,
    /// Inode number on that file system.
    pub inode: u64,
}

impl Identity {
    /// Identity of the file that a `stat` call described.
    pub fn of_stat(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Identity of `name` in `dir`, symbolic links not followed; `None` if there is no such name.
    ///
    /// # Errors
    ///
    /// Every other error of the kernel.
    pub fn at(dir: impl AsFd, name: impl Arg) -> io::Result<Option<Self>> {
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::of_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
