//! Circuit breaker of a tier: one that fails is left alone for a while.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Failures in a row that open the breaker.
const FAILURES: u32 = 3;

/// Time for which it is open at first.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest time. It doubles with each probe that fails.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Breaker. Closed at first; open after [`FAILURES`] in a row; then one call in each pause is a
/// probe, and the first success closes it.
#[derive(Default, Debug)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    failures: u32,
    /// While it is open: when the next probe is let through.
    probe_at: Option<Instant>,
    pause: Duration,
    /// Whether a probe was let through whose outcome did not come yet.
    is_probing: bool,
}

impl Breaker {
    /// Whether a call may be made now. While it is open, one caller in each pause may.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.probe_at {
            None => true,
            Some(at) if now < at => false,
            Some(_) => {
                state.probe_at = Some(now + state.pause);
                state.is_probing = true;
                true
            }
        }
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().probe_at.is_some()
    }

    /// Takes in the outcome of a call. Returns true if that opened or closed the breaker.
    pub(crate) fn record(&self, succeeded: bool, now: Instant) -> bool {
        let mut state = self.lock();
        let was_open = state.probe_at.is_some();
        if succeeded {
            *state = State::default();
            return was_open;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        // Calls that were under way when it opened tell nothing of what is now.
        if was_open && !std::mem::take(&mut state.is_probing) {
            return false;
        }
        state.pause = if was_open { (2 * state.pause).min(PAUSE_MAX) } else { PAUSE_MIN };
        state.probe_at = Some(now + state.pause);
        !was_open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_a_probe_that_succeeds() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.record(false, start));
        }
        assert!(!breaker.record(true, start) && breaker.admits(start));
        for failure in 1..=FAILURES {
            assert_eq!(breaker.record(false, start), failure == FAILURES);
        }
        assert!(breaker.is_open() && !breaker.admits(start));
        // One probe in each pause.
        assert!(breaker.admits(at(1)) && !breaker.admits(at(1)));
        assert!(!breaker.record(false, at(1)));
        assert!(!breaker.admits(at(2)) && breaker.admits(at(3)));
        assert!(breaker.record(true, at(3)));
        assert!(!breaker.is_open() && breaker.admits(at(3)));
    }

    #[test]
    fn calls_that_are_under_way_when_it_opens_do_not_lengthen_the_pause() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for failure in 1..=32 {
            assert_eq!(breaker.record(false, start), failure == FAILURES);
        }
        assert!(!breaker.admits(start) && breaker.admits(at(1)), "the pause is the first one");
        // A probe that is never made, since its caller had no use for it any more, is followed by another one.
        assert!(!breaker.admits(at(1)) && breaker.admits(at(2)));
        for _ in 0..2 {
            assert!(!breaker.record(false, at(2)));
        }
        assert!(!breaker.admits(at(3)) && breaker.admits(at(4)), "one probe failed");
    }
}
