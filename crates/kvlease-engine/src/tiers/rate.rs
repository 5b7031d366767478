//! Measured rate of a tier's loads.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Busy time after which older loads count half.
const WINDOW: Duration = Duration::from_secs(10);

/// Loads that a rate needs.
const LOADS_MIN: u32 = 8;

/// Time between two loads that a slow tier gets all the same, to be measured again.
const PROBE_PAUSE: Duration = Duration::from_secs(10);

/// Rate of all loads together, over the time in which at least one was under way.
#[derive(Default, Debug)]
pub(crate) struct Rate(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    under_way: u32,
    /// Since when at least one is under way.
    since: Option<Instant>,
    busy: Duration,
    bytes: u64,
    loads: u32,
    probed: Option<Instant>,
}

impl Rate {
    /// Takes in the start of a load.
    pub(crate) fn begin(&self, now: Instant) {
        let mut state = self.lock();
        state.under_way += 1;
        state.since.get_or_insert(now);
    }

    /// Takes in the end of a load, which brought this many bytes.
    pub(crate) fn end(&self, bytes: u64, now: Instant) {
        let mut state = self.lock();
        state.under_way -= 1;
        let since = state.since.take().expect("a load is under way");
        state.busy += now.saturating_duration_since(since);
        state.since = (state.under_way > 0).then_some(now);
        state.bytes += bytes;
        state.loads = state.loads.saturating_add(1);
        if state.busy > WINDOW {
            state.busy /= 2;
            state.bytes /= 2;
        }
    }

    /// Bytes per second; `None` before there were enough loads.
    pub(crate) fn per_second(&self) -> Option<u64> {
        self.lock().per_second()
    }

    /// Whether loads are known to be slower than this, without counting as a question for one.
    pub(crate) fn is_below(&self, rate_min: u64) -> bool {
        self.per_second().is_some_and(|rate| rate < rate_min)
    }

    /// Whether loads are at least this fast, or it is time to measure again.
    pub(crate) fn is_worth(&self, rate_min: u64, now: Instant) -> bool {
        let mut state = self.lock();
        if state.per_second().is_none_or(|rate| rate >= rate_min) {
            return true;
        }
        let due = state.probed.is_none_or(|probed| now >= probed + PROBE_PAUSE);
        if due {
            state.probed = Some(now);
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics while holding it")
    }
}

impl State {
    fn per_second(&self) -> Option<u64> {
        let nanos = self.busy.as_nanos().max(1);
        let rate = u128::from(self.bytes) * 1_000_000_000 / nanos;
        (self.loads >= LOADS_MIN).then(|| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_at_the_same_time_add_up_and_a_slow_tier_is_measured_again() {
        let (rate, start) = (Rate::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for round in 0..4 {
            let from = 1000 * round;
            rate.begin(at(from));
            rate.begin(at(from));
            assert_eq!(rate.per_second().is_some(), round >= 4);
            rate.end(500_000, at(from + 500));
            rate.end(500_000, at(from + 1000));
        }
        // Idle time does not count.
        assert_eq!(rate.per_second(), Some(1_000_000));
        assert!(rate.is_worth(1_000_000, at(9000)));
        assert!(rate.is_worth(1_000_001, at(9000)) && !rate.is_worth(1_000_001, at(9000)));
        assert!(rate.is_worth(1_000_001, at(19_000)));
        // What is new counts more than what is old.
        rate.begin(at(20_000));
        rate.end(0, at(40_000));
        assert_eq!(rate.per_second(), Some(166_666));
    }
}
