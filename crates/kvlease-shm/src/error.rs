//! Why an arena cannot be had, in one line each: the key, the cure, the values.

use std::{io, path::PathBuf};

use kvlease_types::ByteSize;

/// Why the arena could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// Another daemon owns this segment now.
    #[error(
        "`shared_memory_name` is in use by another running daemon: \
         stop it or choose another name, shared_memory_name=`{name}` pid=`{pid}`"
    )]
    InUse {
        /// The segment's name.
        name: String,
        /// The process that holds the lock, as it wrote it there; 0 if it did not.
        pid: u32,
    },
    /// Something that is not this daemon's arena has the public name.
    #[error(
        "`shared_memory_name` is taken by a file that is not this daemon's arena: \
         remove that file or choose another name, path=`{path}`"
    )]
    NameTaken {
        /// The public name.
        path: PathBuf,
    },
    /// The existing arena has another size than the one that was asked for.
    #[error(
        "`capacity` differs from the existing arena, which keeps its size while clients map it: \
         set capacity=`{existing}`, or stop all clients and remove `{public}` and `{private}`, \
         capacity=`{requested}`"
    )]
    CapacityDiffers {
        /// What the arena has.
        existing: ByteSize,
        /// What was asked for.
        requested: ByteSize,
        /// The public name.
        public: PathBuf,
        /// The private directory.
        private: PathBuf,
    },
    /// Less than one page.
    #[error("`capacity` is smaller than one page of 4KiB: set a larger one, capacity=`{capacity}`")]
    CapacityTooSmall {
        /// What was asked for.
        capacity: ByteSize,
    },
    /// More than the file system of the segment directory can hold.
    #[error(
        "`capacity` is larger than the free space of the shared memory directory: \
         set at most {free}, or `mount -o remount,size=` a larger one, \
         capacity=`{capacity}` dir=`{dir}` size=`{size}` free=`{free}`"
    )]
    BeyondFileSystem {
        /// What was asked for.
        capacity: ByteSize,
        /// The segment directory.
        dir: PathBuf,
        /// The file system's size.
        size: ByteSize,
        /// What is free of it.
        free: ByteSize,
    },
    /// More than a control group lets the daemon have: the kernel would kill it.
    #[error(
        "`capacity` is larger than what the memory limit of a control group leaves: \
         set at most {free}, or raise the limit, \
         capacity=`{capacity}` limit=`{limit}` free=`{free}` file=`{path}`"
    )]
    BeyondControlGroup {
        /// What was asked for.
        capacity: ByteSize,
        /// The file that states the limit.
        path: PathBuf,
        /// The limit.
        limit: ByteSize,
        /// What is left below it.
        free: ByteSize,
    },
    /// More than the machine has: the kernel would kill the daemon or others.
    #[error(
        "`capacity` is larger than the available memory of the machine: \
         set at most {available}, capacity=`{capacity}` available=`{available}`"
    )]
    BeyondMachine {
        /// What was asked for.
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
        /// The segment directory.
        dir: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The private directory or a file in it cannot be trusted.
    #[error("the private directory of `shared_memory_name` {fault}, path=`{path}`")]
    Untrusted {
        /// The directory or the file in it.
        path: PathBuf,
        /// What is wrong with it, and the cure.
        fault: &'static str,
    },
    /// Mode, user or group cannot be set.
    #[error(
        "`{key}` cannot be set on the arena: choose what this user may set, {key}=`{value}` error=`{source}`"
    )]
    Attribute {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Both the public name and the private link are gone.
    #[error(
        "both names of the arena were removed, so that no client can attach any more: \
         restart the daemon and its clients, path=`{path}`"
    )]
    Unlinked {
        /// The public name.
        path: PathBuf,
    },
    /// The kernel refused something else.
    #[error(
        "cannot {doing}: check `shared_memory_dir` and its permissions, path=`{path}` error=`{source}`"
    )]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
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
