//! Counts of a histogram of durations at one moment, and their quantiles.

use std::time::Duration;

/// Factor from the bound of one bucket to that of the next.
pub(super) const FACTOR: u64 = 4;

/// How many durations were in each of `BUCKETS` buckets. The first ends at `FIRST_MICROS` microseconds, the
/// last is unbounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DurationCounts<const FIRST_MICROS: u64, const BUCKETS: usize>(
    pub(crate) [u64; BUCKETS],
);

impl<const FIRST_MICROS: u64, const BUCKETS: usize> DurationCounts<FIRST_MICROS, BUCKETS> {
    /// The upper bounds of the buckets in nanoseconds; the last has all that there are.
    pub(super) const BOUNDS: [u64; BUCKETS] = {
        let (mut bounds, mut bound, mut index) = ([u64::MAX; BUCKETS], FIRST_MICROS * 1_000, 0);
        while index + 1 < BUCKETS {
            bounds[index] = bound;
            (bound, index) = (bound * FACTOR, index + 1);
        }
        bounds
    };

    /// No durations.
    pub(crate) const NONE: Self = Self([0; BUCKETS]);

    /// How many durations there are.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The counts of both together.
    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
        self
    }

    /// The durations that are not among the earlier ones.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        self.0.iter_mut().zip(earlier.0).for_each(|(count, less)| *count -= less);
        self
    }

    /// The duration that the part `quantile` of all does not exceed, by linear interpolation within its
    /// bucket; `None` without durations. One of the unbounded bucket counts as the largest bound.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = self.total() as f64 * quantile;
        let (mut below, mut start) = (0.0, 0);
        for (count, bound) in self.0.iter().zip(Self::BOUNDS) {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                let width = if bound == u64::MAX { 0.0 } else { (bound - start) as f64 };
                let within = width * ((rank - below) / count);
                return Some(Duration::from_nanos(start + within as u64));
            }
            (below, start) = (below + count, bound);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Counts = DurationCounts<100, 4>;

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let micros = |counts: [u64; 4], quantile: f64| {
            let found = DurationCounts::<100, 4>(counts).quantile(quantile);
            found.map(|duration| duration.as_nanos() as f64 / 1_000.0)
        };
        assert_eq!(micros([0; 4], 0.5), None);
        assert_eq!(micros([10, 0, 0, 0], 0.5), Some(50.0));
        assert_eq!(micros([10, 10, 0, 0], 0.75), Some(250.0), "half of the way from 100 to 400");
        assert_eq!(micros([0, 0, 1, 0], 1.0), Some(1_600.0));
        assert_eq!(micros([1, 0, 0, 99], 0.99), Some(1_600.0), "the largest bound");
        assert_eq!(micros([5, 0, 0, 0], 0.0), Some(0.0));
    }

    #[test]
    fn counts_add_up_and_tell_what_came_since() {
        let (before, after) = (DurationCounts::<100, 4>([1, 2, 3, 4]), Counts::NONE);
        let both = after.plus(before).plus(DurationCounts([1, 0, 0, 0]));
        assert_eq!((both.total(), both.since(&before)), (11, DurationCounts([1, 0, 0, 0])));
    }
}
