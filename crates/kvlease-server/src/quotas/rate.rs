//! Rate of requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Nanoseconds of a second: for so long what is not used can be used later.
const SECOND: u64 = 1_000_000_000;

/// Limit of requests in a second, or none.
///
/// Each request takes its part of a second. A request comes in if a second has room for one, and is counted as a
/// whole then: a frame with many keys is let in, and what comes behind it waits.
#[derive(Debug)]
pub(super) struct Rate {
    /// Zero without a limit.
    per_s: AtomicU64,
    /// Until when all that was let in takes, in nanoseconds.
    taken_until: AtomicU64,
}

impl Rate {
    pub(super) fn new(per_s: Option<u64>) -> Self {
        Self { per_s: AtomicU64::new(per_s.unwrap_or(0)), taken_until: AtomicU64::new(0) }
    }

    pub(super) fn per_s(&self) -> Option<u64> {
        Some(self.per_s.load(Relaxed)).filter(|per_s| *per_s > 0)
    }

    /// Changes the limit, for what comes from now on.
    pub(super) fn set(&self, per_s: Option<u64>) {
        self.per_s.store(per_s.unwrap_or(0), Relaxed);
    }

    /// Lets a number of requests in at a moment, in nanoseconds. An error, of those that come too early, is the limit.
    pub(super) fn admit(&self, count: u64, now: u64) -> Result<(), u64> {
        let Some(per_s) = self.per_s() else { return Ok(()) };
        let cost = |count: u64| {
            let nanos = u128::from(count) * u128::from(SECOND) / u128::from(per_s);
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        let taken = self.taken_until.fetch_update(Relaxed, Relaxed, |until| {
            let until = until.max(now);
            let fits = until.saturating_add(cost(1)) <= now.saturating_add(SECOND);
            fits.then(|| until.saturating_add(cost(count)))
        });
        taken.map(drop).map_err(|_| per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rate: &Rate, tries: u64, now: u64) -> u64 {
        (0..tries).map(|_| u64::from(rate.admit(1, now).is_ok())).sum()
    }

    #[test]
    fn a_second_has_as_many_as_it_may_and_no_more_however_long_there_were_none() {
        let rate = Rate::new(Some(10));
        assert_eq!(admitted(&rate, 100, 5 * SECOND), 10);
        assert_eq!(admitted(&rate, 100, 5 * SECOND + SECOND / 2), 5);
        assert_eq!(admitted(&rate, 100, 5 * SECOND + SECOND / 2 + SECOND / 10 - 1), 0);
        assert_eq!(admitted(&rate, 100, 100 * SECOND), 10);
    }

    #[test]
    fn what_is_larger_than_a_second_comes_in_once_and_what_follows_waits() {
        let rate = Rate::new(Some(10));
        assert_eq!(rate.admit(30, 0), Ok(()));
        assert_eq!(rate.admit(1, SECOND), Err(10));
        assert_eq!(admitted(&rate, 10, 2 * SECOND), 0);
        assert_eq!(admitted(&rate, 10, 2 * SECOND + SECOND / 10), 1);
    }

    #[test]
    fn the_largest_numbers_are_counted() {
        let rate = Rate::new(Some(1_000_000_000_000));
        assert_eq!(admitted(&rate, 1000, u64::MAX), 1000);
        assert_eq!(Rate::new(Some(1)).admit(u64::MAX, 1), Ok(()));
    }

    #[test]
    fn a_limit_is_changed_for_what_comes_from_then_on() {
        let rate = Rate::new(None);
        assert_eq!((admitted(&rate, 1000, SECOND), rate.per_s()), (1000, None));
        rate.set(Some(10));
        assert_eq!(admitted(&rate, 100, SECOND), 10, "what came without a limit counts for none");
        rate.set(Some(100));
        assert_eq!(admitted(&rate, 1000, 2 * SECOND), 100);
        rate.set(None);
        assert_eq!(admitted(&rate, 1000, 2 * SECOND), 1000);
    }
}
