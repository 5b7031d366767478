//! Polling for a state that has no event, within a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks.
pub const POLL: Duration = Duration::from_millis(5);

/// Limit of whatever a test waits for: a daemon that takes longer counts as stuck.
pub const SOON: Duration = Duration::from_secs(120);

/// First result of `look`, which is called until it has one or `limit` is over.
pub fn until<T>(limit: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    until_every(POLL, limit, look)
}

/// The same with another pause between two looks.
pub fn until_every<T>(
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

/// Waits until the condition holds.
///
/// # Panics
///
/// If it does not hold within [`SOON`].
#[track_caller]
pub fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let held = until(SOON, || condition().then_some(()));
    assert!(held.is_some(), "not within {SOON:?}: {what}");
}
