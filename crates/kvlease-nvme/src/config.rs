//! Settings of the tier.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Pieces that a worker has on the way to or from the device, by default.
pub const DEPTH: usize = 8;

/// Workers, by default: each copies and sums what it moves.
pub const WORKERS: usize = 2;

/// Settings of the tier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NvmeConfig {
    /// Directory of the tier's file. It must exist.
    pub path: PathBuf,
    /// Length of the file. By default that of the existing file, or half of what is free.
    pub capacity: Option<ByteSize>,
    /// Way to the device.
    pub io: IoChoice,
    /// Pieces that each worker has on the way at a time.
    pub depth: usize,
    /// Number of workers.
    pub workers: usize,
    /// Length of a segment. By default a sixteenth of the capacity, within bounds.
    pub segment: Option<ByteSize>,
}

/// Choice of the way to the device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum IoChoice {
    /// io_uring, and threads if the kernel refuses it.
    #[default]
    Auto,
    /// Threads that read and write.
    Threads,
}

impl NvmeConfig {
    /// The defaults, with the file in this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            capacity: None,
            io: IoChoice::Auto,
            depth: DEPTH,
            workers: WORKERS,
            segment: None,
        }
    }
}
