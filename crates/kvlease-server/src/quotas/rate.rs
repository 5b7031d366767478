//! Rate of requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Nanoseconds of a second: for so long what is not used can be used later.
const SECOND: u64 = 1_000_000_000;

/// Limit of requests in a second.
///
/// Each request takes its part of a second. A request comes in if a second has room for one, and is counted as a
/// whole then: a frame with many keys is let in, and what comes behind it waits.
#[derive(Debug)]
pub(super) struct Rate {
    per_s: u64,
    /// Until when all that was let in takes, in nanoseconds.
    taken_until: AtomicU64,
}

impl Rate {
    pub(super) const fn new(per_s: u64) -> Self {
        Self { per_s, taken_until: AtomicU64::new(0) }
    }

    pub(super) const fn per_s(&self) -> u64 {
        self.per_s
    }

    /// Lets a number of requests in at a moment, in nanoseconds; false if they come too early.
    pub(super) fn admit(&self, count: u64, now: u64) -> bool {
        let cost = |count: u64| {
            let nanos = u128::from(count) * u128::from(SECOND) / u128::from(self.per_s);
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        let taken = self.taken_until.fetch_update(Relaxed, Relaxed, |until| {
            let until = until.max(now);
            let fits = until.saturating_add(cost(1)) <= now.saturating_add(SECOND);
            fits.then(|| until.saturating_add(cost(count)))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rate: &Rate, tries: u64, now: u64) -> u64 {
        (0..tries).map(|_| u64::from(rate.admit(1, now))).sum()
    }

    #[test]
    fn a_second_has_as_many_as_it_may_and_no_more_however_long_there_were_none() {
        let rate = Rate::new(10);
        assert_eq!(admitted(&rate, 100, 5 * SECOND), 10);
        assert_eq!(admitted(&rate, 100, 5 * SECOND + SECOND / 2), 5);
        assert_eq!(admitted(&rate, 100, 5 * SECOND + SECOND / 2 + SECOND / 10 - 1), 0);
        assert_eq!(admitted(&rate, 100, 100 * SECOND), 10);
    }

    #[test]
    fn what_is_larger_than_a_second_comes_in_once_and_what_follows_waits() {
        let rate = Rate::new(10);
        assert!(rate.admit(30, 0));
        assert_eq!(admitted(&rate, 10, 2 * SECOND), 0);
        assert_eq!(admitted(&rate, 10, 2 * SECOND + SECOND / 10), 1);
    }

    #[test]
    fn the_largest_numbers_are_counted() {
        let rate = Rate::new(1_000_000_000_000);
        assert_eq!(admitted(&rate, 1000, u64::MAX), 1000);
        assert!(Rate::new(1).admit(u64::MAX, 1));
    }
}
