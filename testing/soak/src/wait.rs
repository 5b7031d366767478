//! Waiting for something that has no event, within a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something, at most for `limit`.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() >= limit {
            return None;
        }
        thread::sleep(POLL);
    }
}
