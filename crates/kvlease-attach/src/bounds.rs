//! Bounds of extents and buffers.

use kvlease_types::{ByteSize, Extent};

/// Reason why extents cannot be copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutOfBounds {
    /// An extent reaches beyond the mapping.
    #[error(
        "an extent is outside the attached segment: attach to the daemon's own segment, \
         offset=`{}` len=`{}` segment=`{segment}`", extent.offset, extent.len
    )]
    Segment {
        /// The extent.
        extent: Extent,
        /// Length of the mapping.
        segment: ByteSize,
    },
    /// The length of the extents together is not that of the buffer.
    #[error(
        "buffer length does not match object length: pass a buffer of the object's length, \
         object=`{object}` buffer=`{buffer}`"
    )]
    Buffer {
        /// Length of all extents together, saturating.
        object: ByteSize,
        /// Length of the buffer.
        buffer: ByteSize,
    },
}
