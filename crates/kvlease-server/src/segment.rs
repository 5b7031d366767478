//! Removal of a segment without a daemon.

use std::path::Path;

use kvlease_types::SegmentName;

use crate::{config::SocketPlace, exit::ServeError, lane::Socket};

/// Removes the segment of this name with everything that daemons left beside it. Returns false if
/// there is none.
///
/// # Errors
///
/// That a daemon runs on it, or that this user may not remove it.
pub fn remove_segment(dir: &Path, name: &SegmentName) -> Result<bool, ServeError> {
    let removed = kvlease_arena::remove_segment(dir, name)?;
    if let Some(socket) = SocketPlace::Auto.path(dir, name)? {
        Socket::remove_stale(&socket)?;
    }
    Ok(removed)
}
