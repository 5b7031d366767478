//! Reasons why the engine does not start.

use std::io;

use kvlease_arena::{ArenaError, Shortfall};

use crate::line_files::LineFilesError;

/// Reason why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not even the first part of the arena can be populated.
    #[error(transparent)]
    Arena(#[from] Shortfall),
    /// The manifest cannot be read or made.
    #[error(transparent)]
    Record(#[from] ArenaError),
    /// The table of generations cannot be made.
    #[error("the table of generations cannot be made: check that /proc is mounted, error=`{0}`")]
    Generations(io::Error),
    /// The published index cannot be made.
    #[error("the published index cannot be made: check that /proc is mounted, error=`{0}`")]
    Index(io::Error),
    /// The directory of shards on the disk cannot be used.
    #[error(
        "the directory `checkpoints` in tier.nvme.path cannot be used: give the daemon's user the \
         right to write there, or set checkpoint.disk_capacity = \"none\", error=`{0}`"
    )]
    Shards(io::Error),
    /// The capture cannot be begun.
    #[error(transparent)]
    Capture(#[from] LineFilesError),
    /// The system gives no more threads.
    #[error("no thread can be started: raise the limit of processes, error=`{0}`")]
    Thread(#[from] io::Error),
}
