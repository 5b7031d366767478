//! Waiting for something that has no event, within a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something, at most for `limit`.
pub fn until<T>(limit: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    until_every(POLL, limit, look)
}

/// The same with another pause between two looks.
pub(crate) fn until_every<T>(
    pause: Duration,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() >= limit {
            return None;
        }
        thread::sleep(pause);
    }
}
