//! Configuration of the disk's share.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Directory for shards that the arena's share has no room for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardDisk {
    /// The directory. It is made if it is not there; no other daemon may use it.
    pub path: PathBuf,
    /// The most bytes that shards may take in it.
    pub capacity: ByteSize,
}
