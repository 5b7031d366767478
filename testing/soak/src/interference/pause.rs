//! Constants and pauses that all clients share.

use std::{thread, time::Duration};

/// Bucket of all objects.
pub(super) const BUCKET: &str = "beside";

/// Pause of a client between two turns. No pause is not even a call to the system.
pub(super) fn rest(pause: Duration) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}
