//! Errors of the arena, in one line each: the key, the remedy, the values.

use std::{io, path::PathBuf};

use kvlease_types::ByteSize;
use rustix::io::Errno;

/// Reason why the arena could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// Another daemon owns this segment.
    #[error(
        "`shared_memory_name` is in use by another running daemon: \
         stop it or choose another name, shared_memory_name=`{name}` pid=`{pid}`"
    )]
    InUse {
        /// Name of the segment.
        name: String,
        /// Id of the process that has the lock, as it wrote it there; 0 if it did not.
        pid: u32,
    },
    /// The public name is that of another file.
    #[error(
        "`shared_memory_name` is taken by a file that is not this daemon's arena: \
         remove that file or choose another name, path=`{path}`"
    )]
    NameTaken {
        /// Public name.
        path: PathBuf,
    },
    /// The existing arena has another size than the configured one.
    #[error(
        "`capacity` differs from the existing arena, which keeps its size while clients map it: \
         set capacity=`{existing}`, or stop all clients and remove `{public}` and `{private}`, \
         capacity=`{requested}`"
    )]
    CapacityDiffers {
        /// Size of the arena.
        existing: ByteSize,
        /// Configured size.
        requested: ByteSize,
        /// Public name.
        public: PathBuf,
        /// Private directory.
        private: PathBuf,
    },
    /// The configured size is less than one page.
    #[error("`capacity` is smaller than one page of 4KiB: set a larger one, capacity=`{capacity}`")]
    CapacityTooSmall {
        /// Configured size.
        capacity: ByteSize,
    },
    /// The configured size is more than the file system of the segment directory has.
    #[error(
        "`capacity` is larger than the free space of the shared memory directory: \
         {}`mount -o remount,size=` a larger one, \
         capacity=`{capacity}` dir=`{dir}` size=`{size}` free=`{free}`",
        at_most(*fits)
    )]
    BeyondFileSystem {
        /// Configured size.
        capacity: ByteSize,
        /// Segment directory.
        dir: PathBuf,
        /// Size of the file system.
        size: ByteSize,
        /// Free part of it.
        free: ByteSize,
        /// Largest capacity that it has room for, with the files beside the arena.
        fits: ByteSize,
    },
    /// The configured size is more than a control group allows: the kernel would kill the daemon.
    #[error(
        "`capacity` and the daemon's own memory are more than the memory limit of a control group \
         leaves: {}raise the limit by {}, \
         capacity=`{capacity}` own=`{own}` limit=`{limit}` free=`{free}` file=`{path}`",
        at_most(*fits), lacking(&[*capacity, *own], *free)
    )]
    BeyondControlGroup {
        /// Configured size.
        capacity: ByteSize,
        /// File that states the limit.
        path: PathBuf,
        /// Limit of the group.
        limit: ByteSize,
        /// Rest below the limit.
        free: ByteSize,
        /// Memory that the daemon needs beside the arena.
        own: ByteSize,
        /// Largest capacity within the limit.
        fits: ByteSize,
    },
    /// The configured size is more than the machine has: the kernel would kill processes.
    #[error(
        "`capacity` is larger than the available memory of the machine: \
         set at most {available}, capacity=`{capacity}` available=`{available}`"
    )]
    BeyondMachine {
        /// Configured size.
        capacity: ByteSize,
        /// Free and reclaimable memory, and free swap.
        available: ByteSize,
    },
    /// There is no memory for the manifest.
    #[error(
        "the manifest of the objects has no room in the shared memory directory: free memory there, \
         or `mount -o remount,size=` a larger one, dir=`{dir}` error=`{source}`"
    )]
    NoRoomForManifest {
        /// Segment directory.
        dir: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The private directory or a file in it cannot be trusted.
    #[error("the private directory of `shared_memory_name` {fault}, path=`{path}`")]
    Untrusted {
        /// Path of the directory, or of the file in it.
        path: PathBuf,
        /// Its fault, and the remedy.
        fault: &'static str,
    },
    /// Mode, user or group cannot be set.
    #[error(
        "`{key}` cannot be set on the arena: choose what this user may set, {key}=`{value}` error=`{source}`"
    )]
    Attribute {
        /// Configuration key.
        key: &'static str,
        /// Value of the key.
        value: String,
        /// Error of the kernel.
        source: io::Error,
    },
    /// Both the public name and the private link are missing.
    #[error(
        "both names of the arena were removed, so that no client can attach any more: \
         restart the daemon and its clients, path=`{path}`"
    )]
    Unlinked {
        /// Public name.
        path: PathBuf,
    },
    /// The kernel refused another operation.
    #[error("cannot {doing}: {}, path=`{path}` error=`{source}`", remedy(source))]
    Io {
        /// Operation.
        doing: &'static str,
        /// Path of the operation.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
}

impl ArenaError {
    /// Turns a failed attempt on `path` into an error, for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { doing, path: path.into(), source: source.into() }
    }
}

/// The advice of a capacity, if there is one.
fn at_most(fits: ByteSize) -> String {
    if fits == ByteSize::ZERO { String::new() } else { format!("set at most {fits}, or ") }
}

/// Whole MiB that the sum of the needs has more than what is free.
fn lacking(needs: &[ByteSize], free: ByteSize) -> ByteSize {
    let sum = needs.iter().fold(0_u64, |sum, need| sum.saturating_add(need.bytes()));
    ByteSize::mib(sum.saturating_sub(free.bytes()).div_ceil(1 << 20))
}

/// Remedy of an error of the kernel.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => {
            "free memory or inodes in `shared_memory_dir`, or `mount -o remount` it with more"
        }
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit of open files",
        Some(Errno::FBIG) => "raise the limit of the size of files",
        Some(Errno::NOMEM) => "raise the limit of memory and of address space",
        _ => "check `shared_memory_dir` and its permissions",
    }
}
