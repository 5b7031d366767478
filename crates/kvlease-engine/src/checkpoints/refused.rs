//! Reasons why a request for checkpoints is refused.

use kvlease_types::{ByteSize, Miss, WriteRefused};

use super::name::NamespaceShape;

/// Reason why a request for checkpoints is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointRefused {
    /// There is no such namespace.
    #[error("no such namespace: create it first")]
    NoNamespace,
    /// There is no such shard.
    #[error("no such shard")]
    NoShard,
    /// The namespace is there with another shape.
    #[error(
        "the namespace exists with another shape: use it as it is or remove it first, \
         num_ranks=`{}` steps_retained=`{}`", .0.num_ranks, .0.steps_retained
    )]
    OtherShape(NamespaceShape),
    /// Neither quota has room, whatever steps may leave.
    #[error(
        "checkpoints have no room for it: remove the namespaces of jobs that ended or raise \
         checkpoint.capacity or checkpoint.disk_capacity, checkpoint.capacity=`{capacity}` \
         taken=`{taken}` checkpoint.disk_capacity=`{disk_capacity}` taken=`{disk_taken}`"
    )]
    NoRoom {
        /// The memory's quota.
        capacity: ByteSize,
        /// Part of it that is taken.
        taken: ByteSize,
        /// The disk's quota.
        disk_capacity: ByteSize,
        /// Part of it that is taken.
        disk_taken: ByteSize,
    },
    /// The disk is full, or failed.
    #[error(
        "the disk does not take the shard: see the daemon's log, make room on the file system of \
         tier.nvme.path, or lower checkpoint.disk_capacity"
    )]
    DiskFailed,
    /// The store that nodes share failed.
    #[error("the shared store of checkpoints does not answer: see the daemon's log, and try again")]
    StoreFailed,
    /// The arena does not take the bytes.
    #[error(transparent)]
    Write(#[from] WriteRefused),
    /// The shard is there and cannot be read now.
    #[error(transparent)]
    Miss(#[from] Miss),
}
