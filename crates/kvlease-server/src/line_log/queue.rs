//! Items that requests put down for the thread that writes.

use std::time::{SystemTime, UNIX_EPOCH};

/// Item for the thread.
pub(super) enum Item {
    /// A line to write.
    Line(Vec<u8>),
    /// There are no more.
    End,
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
