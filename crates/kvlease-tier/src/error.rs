//! Reasons why a tier did not do what it was asked for.

use kvlease_types::{ByteSize, Checksum};

use crate::transfer::SourceChanged;

/// Reason why a call to a tier failed. None of them damages what the tier has.
#[derive(Debug, thiserror::Error)]
pub enum TierError {
    /// The store cannot be reached, or did not answer as it should. A later call may succeed.
    #[error("the store cannot be used now: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The device or the file system failed.
    #[error("{what} failed: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The reason of the kernel.
        source: std::io::Error,
    },
    /// The stored bytes are not the object's. The tier has dropped them.
    #[error("the stored object is corrupt, expected=`{expected}` found=`{found}`: it was dropped")]
    Corrupt {
        /// Checksum that the object was stored with.
        expected: Checksum,
        /// Checksum of the bytes that were found.
        found: Checksum,
    },
    /// The stored value is not an object of that name, or not one at all.
    #[error("what is stored under the name is no such object: {reason}")]
    Foreign {
        /// The difference.
        reason: String,
    },
    /// The bytes of the source changed while they were taken. Nothing was stored.
    #[error(transparent)]
    SourceChanged(#[from] SourceChanged),
    /// The object is larger than the tier takes.
    #[error(
        "the object is too large for the tier: store smaller chunks, or give the tier on disk a larger \
         tier.nvme.capacity, len_max=`{len_max}`"
    )]
    TooLarge {
        /// The largest length.
        len_max: ByteSize,
    },
    /// The tier has no room, and cannot make any now.
    #[error(
        "the tier is full and lets nothing leave: set `maxmemory-policy allkeys-lru` in a Valkey or Redis server, or give \
         the tier more room"
    )]
    Full,
    /// The tier was closed.
    #[error("the tier is closed")]
    Closed,
}

impl TierError {
    /// Whether the tier itself is in trouble, and not one object: such errors open a breaker.
    pub const fn is_of_tier(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Io { .. } | Self::Closed => true,
            Self::Corrupt { .. }
            | Self::Foreign { .. }
            | Self::SourceChanged(_)
            | Self::TooLarge { .. }
            | Self::Full => false,
        }
    }
}
