//! Random numbers that a seed brings back.

/// Scatters a number over 64 bits (the finaliser of splitmix64).
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What splitmix64 adds between two numbers.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A generator for one of several parties that share a seed.
    pub const fn of(seed: u64, party: u64) -> Self {
        Self(mix(seed ^ mix(party.wrapping_add(STEP))))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`.
    ///
    /// # Panics
    ///
    /// If `end` is zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "there is no number below zero");
        ((self.next() as u128 * end as u128) >> 64) as u64
    }

    /// A number from `low` to `high`, whose logarithm is evenly spread.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let share = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        let exact = low as f64 * (high as f64 / low as f64).powf(share);
        (exact as u64).clamp(low, high)
    }

    /// True in so many of a hundred cases.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_numbers_and_another_brings_others() {
        let numbers = |mut random: Random| -> Vec<u64> { (0..8).map(|_| random.next()).collect() };
        assert_eq!(numbers(Random::of(7, 1)), numbers(Random::of(7, 1)));
        assert_ne!(numbers(Random::of(7, 1)), numbers(Random::of(7, 2)));
        assert_ne!(numbers(Random::of(7, 1)), numbers(Random::of(8, 1)));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            assert!(random.below(7) < 7);
            assert!((10..=1000).contains(&random.log_between(10, 1000)));
        }
    }
}
