//! Why the engine refuses.

use std::{io, time::Duration};

use kvlease_arena::{ArenaError, Shortfall};
use kvlease_cache::ReserveError;
use kvlease_types::ByteSize;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not even the first part of the arena can be populated.
    #[error(transparent)]
    Arena(#[from] Shortfall),
    /// The record of the objects cannot be read or made.
    #[error(transparent)]
    Record(#[from] ArenaError),
    /// The table of generations cannot be made.
    #[error("the table of generations cannot be made: check that /proc is mounted, error=`{0}`")]
    Generations(io::Error),
    /// The system gives no more threads.
    #[error("no thread can be started: raise the limit of processes, error=`{0}`")]
    Thread(#[from] io::Error),
}

/// Why an object is not stored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PutError {
    /// No room could be reserved.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The object is larger than any that is taken.
    #[error(
        "the object is too large: store smaller ones or raise cache.object_len_max, object_len_max=`{max}`"
    )]
    TooLarge {
        /// The limit.
        max: ByteSize,
    },
    /// More bytes came than were announced.
    #[error(
        "the body is longer than announced: send as much as Content-Length says, len=`{announced}`"
    )]
    TooLong {
        /// What was announced.
        announced: ByteSize,
    },
    /// Fewer bytes came than were announced.
    #[error(
        "the body is shorter than announced: send it again, received=`{received}`, len=`{announced}`"
    )]
    TooShort {
        /// What came.
        received: ByteSize,
        /// What was announced.
        announced: ByteSize,
    },
}

/// Why a reservation is not committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommitError {
    /// Its deadline has passed.
    #[error("the reservation has expired: reserve again, and write faster or less at once")]
    Expired,
}

/// Why no lease is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseRefused {
    /// No such object, and nobody is writing it.
    #[error("no such object")]
    Absent {
        /// Whether it was there and was evicted lately.
        evicted: bool,
    },
    /// The object was still being written when the wait ended.
    #[error("the object is still being written: ask again, waited_ms=`{}`", waited.as_millis())]
    StillWriting {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The daemon is at its limit of live leases.
    #[error("too many live leases: release some or raise lease.live_max")]
    TooManyLeases,
    /// The catalog has no memory for another lease.
    #[error("the catalog is at its memory limit: release leases or raise cache.catalog_memory_max")]
    MemoryShort,
}

/// Why an object is not removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoveRefused {
    /// No such object.
    #[error("no such object")]
    Absent,
    /// The object is being written.
    #[error("the object is being written: remove it once it is sealed")]
    BeingWritten,
}
