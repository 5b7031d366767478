//! What the daemon is told about its arena.

use std::{path::PathBuf, time::Duration};

use kvlease_types::ByteSize;

use crate::{MemoryLimits, SegmentName};

/// Where POSIX shared memory lives on Linux.
pub const DEFAULT_SEGMENT_DIR: &str = "/dev/shm";

/// Only the daemon's own user may attach.
pub const DEFAULT_SEGMENT_MODE: u32 = 0o600;

/// Where the arena is, how large, and who may attach.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// The tmpfs directory that holds the public name. Default [`DEFAULT_SEGMENT_DIR`].
    pub dir: PathBuf,
    /// The public name within it.
    pub name: SegmentName,
    /// The size that was asked for explicitly: an existing arena must have exactly this size.
    /// `None` takes an existing arena as it is. Rounded down to whole pages of 4 KiB.
    pub capacity: Option<ByteSize>,
    /// The size of a new arena when `capacity` is `None`.
    pub create_capacity: ByteSize,
    /// Permission bits of the segment, whatever the umask. Default [`DEFAULT_SEGMENT_MODE`].
    pub mode: u32,
    /// The user that shall own the segment; `None` leaves the daemon's own.
    pub uid: Option<u32>,
    /// The group that shall own the segment; `None` leaves the daemon's own.
    pub gid: Option<u32>,
    /// Ask for huge pages. The kernel grants them only on a tmpfs mounted with `huge=`.
    pub huge_pages: bool,
    /// The longest lease that this or an earlier daemon may have granted. When the lease fence of an
    /// existing arena cannot be read, the whole arena counts as leased for this long.
    pub lease_ttl_max: Duration,
    /// Where the limits on memory are read.
    pub limits: MemoryLimits,
}

impl SegmentOptions {
    /// The defaults for a segment of this name, which gets `create_capacity` when it is new.
    pub fn new(name: SegmentName, create_capacity: ByteSize, lease_ttl_max: Duration) -> Self {
        Self {
            dir: DEFAULT_SEGMENT_DIR.into(),
            name,
            capacity: None,
            create_capacity,
            mode: DEFAULT_SEGMENT_MODE,
            uid: None,
            gid: None,
            huge_pages: true,
            lease_ttl_max,
            limits: MemoryLimits::default(),
        }
    }
}
