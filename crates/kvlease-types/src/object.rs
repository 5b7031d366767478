//! A sealed object as one crate describes it to another.

use crate::{ByteSize, Checksum, Extent, Timestamp};

/// A sealed object: its name, where its bytes are and what they are to be. Borrowed, since it is
/// only passed on, never kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedObject<'a> {
    /// The bucket that it is in.
    pub bucket: &'a str,
    /// Its name in the bucket.
    pub key: &'a str,
    /// Its extents, in the order of its bytes, with exact lengths.
    pub extents: &'a [Extent],
    /// Its size.
    pub len: ByteSize,
    /// The checksum of its bytes.
    pub checksum: Checksum,
    /// Tells it from every other object of the same incarnation of the daemon.
    pub generation: u64,
    /// When it was sealed.
    pub created: Timestamp,
}
