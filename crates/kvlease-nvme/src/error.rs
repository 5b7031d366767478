//! Reasons why the tier cannot be opened, in one line each: the key, the remedy, the values.

use std::{io, path::PathBuf};

use kvlease_types::ByteSize;

use crate::{format::VERSIONS, geometry::CAPACITY_MIN};

/// Reason why the tier could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NvmeError {
    /// There is no such directory.
    #[error(
        "`tier.nvme.path` does not exist: create the directory or set another one, path=`{path}`"
    )]
    Missing {
        /// Configured directory.
        path: PathBuf,
    },
    /// The path is not a directory.
    #[error(
        "`tier.nvme.path` is not a directory: set one on a local file system; a block device needs \
         a file system first, path=`{path}`"
    )]
    NotADirectory {
        /// Configured directory.
        path: PathBuf,
    },
    /// The file system is mounted read-only.
    #[error(
        "`tier.nvme.path` is on a read-only file system: remount it writable or set another \
         directory, path=`{path}`"
    )]
    ReadOnly {
        /// Configured directory.
        path: PathBuf,
    },
    /// The daemon's user may not write there.
    #[error(
        "`tier.nvme.path` cannot be written to: give the daemon's user the right to write there or \
         set another directory, path=`{path}`"
    )]
    Denied {
        /// Configured directory.
        path: PathBuf,
    },
    /// Another daemon uses the file.
    #[error(
        "`tier.nvme.path` is in use by another running daemon: stop it or set another directory, \
         path=`{path}`"
    )]
    InUse {
        /// Configured directory.
        path: PathBuf,
    },
    /// The name of the file is taken by something else.
    #[error(
        "`tier.nvme.path` has a file that is no tier of kvlease: remove it or set another \
         directory, file=`{file}`"
    )]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The file has another version of the format.
    #[error(
        "`tier.nvme.path` has a tier of another version: remove the file, or run the kvlease that \
         wrote it, file=`{file}` version=`{found}` expected=`{expected}`"
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this build.
        expected: u32,
    },
    /// The capacity is too small to be divided.
    #[error(
        "`tier.nvme.capacity` is too small: set at least {CAPACITY_MIN}, capacity=`{capacity}`"
    )]
    CapacityTooSmall {
        /// Configured capacity.
        capacity: ByteSize,
    },
    /// The capacity is to be half of what is free, which is not known.
    #[error(
        "`tier.nvme.capacity` is needed, since the file system does not say how much it has free: \
         set it, path=`{path}`"
    )]
    CapacityNeeded {
        /// Configured directory.
        path: PathBuf,
    },
    /// The file system has too little room for any tier.
    #[error(
        "`tier.nvme.path` is on a file system with less free than the least tier of {CAPACITY_MIN} \
         needs: make room or set a directory on another file system, free=`{free}` path=`{path}`"
    )]
    TooLittleFree {
        /// Room for the file, with what it has already.
        free: ByteSize,
        /// Configured directory.
        path: PathBuf,
    },
    /// The capacity is to be half of what is free, which is less than the least.
    #[error(
        "`tier.nvme.capacity` is `auto`, and half of what the file system has free is less than the \
         least tier of {CAPACITY_MIN}: set it, to at most what is free, or make room, free=`{free}` \
         path=`{path}`"
    )]
    HalfTooSmall {
        /// Room for the file.
        free: ByteSize,
        /// Configured directory.
        path: PathBuf,
    },
    /// The file system has too little room.
    #[error(
        "`tier.nvme.capacity` is more than the file system has free: set at most what is free or make \
         room, capacity=`{capacity}` free=`{free}` path=`{path}`"
    )]
    NoRoom {
        /// Capacity, as it is configured, or chosen.
        capacity: ByteSize,
        /// Room for the file, with what it has already.
        free: ByteSize,
        /// Configured directory.
        path: PathBuf,
    },
    /// A quota ends before the capacity.
    #[error(
        "`tier.nvme.capacity` is more than the quota of the daemon's user allows: set a smaller one \
         or raise the quota, capacity=`{capacity}` path=`{path}`"
    )]
    Quota {
        /// Capacity, configured or chosen.
        capacity: ByteSize,
        /// Configured directory.
        path: PathBuf,
    },
    /// The kernel refused something else.
    #[error("`tier.nvme.path` cannot be used, path=`{path}`: {what} failed: {source}")]
    Io {
        /// Call that was tried.
        what: &'static str,
        /// Configured directory.
        path: PathBuf,
        /// The reason of the kernel.
        source: io::Error,
    },
}

impl NvmeError {
    pub(crate) fn io(path: &std::path::Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Io { what, path, source },
        }
    }

    pub(crate) const fn other_version(file: PathBuf, found: u32) -> Self {
        Self::OtherVersion { file, found, expected: *VERSIONS.end() }
    }
}
