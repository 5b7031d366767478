//! Options of the arena.

use std::{path::PathBuf, time::Duration};

use kvlease_sys::boot_time;
use kvlease_types::{ByteSize, DEFAULT_SEGMENT_DIR, SegmentName, Timestamp};

use crate::MemoryLimits;

/// Default permission bits of a segment: only the daemon's own user may attach.
pub const DEFAULT_SEGMENT_MODE: u32 = 0o600;

/// Place, size and permissions of an arena.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// Tmpfs directory of the public name. Default [`DEFAULT_SEGMENT_DIR`].
    pub dir: PathBuf,
    /// Public name in that directory.
    pub name: SegmentName,
    /// Size that was configured explicitly: an existing arena must have exactly this one. `None`
    /// takes an existing arena as it is. Rounded down to whole pages of 4 KiB.
    pub capacity: Option<ByteSize>,
    /// Size of a new arena when `capacity` is `None`.
    pub create_capacity: ByteSize,
    /// Permission bits of the segment, whatever the umask. Default [`DEFAULT_SEGMENT_MODE`].
    pub mode: u32,
    /// User to own the segment; `None` for the daemon's own.
    pub uid: Option<u32>,
    /// Group to own the segment; `None` for the daemon's own.
    pub gid: Option<u32>,
    /// Request huge pages. The kernel grants them only on a tmpfs mounted with `huge=`.
    pub huge_pages: bool,
    /// Longest lease, grace included, that this or an earlier daemon may have granted. If the lease
    /// fence of an existing arena cannot be read, the whole arena counts as leased for this long.
    pub lease_ttl_max: Duration,
    /// Memory that the daemon needs beside a new arena, under the same limits. Default none.
    pub own_memory: ByteSize,
    /// Memory of the same directory that other arenas of the daemon will take, which do not have it yet.
    /// Default none.
    pub promised: ByteSize,
    /// Sources of the limits on memory.
    pub limits: MemoryLimits,
    /// Clock of the lease fence's deadlines. Default the machine's boot time.
    pub clock: fn() -> Timestamp,
}

impl SegmentOptions {
    /// Defaults for a segment of this name, which gets `create_capacity` when it is new.
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
            own_memory: ByteSize::ZERO,
            promised: ByteSize::ZERO,
            limits: MemoryLimits::default(),
            clock: boot_time,
        }
    }
}
