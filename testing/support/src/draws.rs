//! Draws from a seed: the one generator of random numbers for tests and soaks (SplitMix64).

use std::env;

/// Increment between two states of the generator.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number scattered over 64 bits (finaliser of SplitMix64).
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Stream of draws: a seed means the same run everywhere.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Stream of one of several parties that share a seed.
    pub const fn of(seed: u64, party: u64) -> Self {
        Self(mix(seed ^ mix(party.wrapping_add(STEP))))
    }

    /// Stream of the seed in `KVLEASE_TEST_SEED`, or else of this one. Prints how to replay it.
    pub fn seeded(otherwise: u64) -> Self {
        Self(test_seed(otherwise))
    }

    /// Next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Number below `end`.
    ///
    /// # Panics
    ///
    /// If `end` is zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Index below `len`.
    ///
    /// # Panics
    ///
    /// If `len` is zero.
    pub const fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `times` draws.
    pub const fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// True in `percent` of a hundred draws.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Number from `low` to `high`, whose logarithm is evenly spread.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let share = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        let exact = low as f64 * (high as f64 / low as f64).powf(share);
        (exact as u64).clamp(low, high)
    }

    /// Byte string of this length.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Random element; `None` of an empty slice.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.index(from.len())) }
    }

    /// Random element, taken out; `None` of an empty vector.
    pub fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() { None } else { Some(from.swap_remove(self.index(from.len()))) }
    }
}

/// Byte string that no other seed has.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    Draws::new(seed.wrapping_mul(STEP) | 1).bytes(len)
}

/// Seed of a test: that in `KVLEASE_TEST_SEED`, or else this one. Prints how to replay it.
pub fn test_seed(otherwise: u64) -> u64 {
    let seed = number("KVLEASE_TEST_SEED", otherwise);
    println!("replay with KVLEASE_TEST_SEED={seed}");
    seed
}

/// Rounds of a test: the number in `KVLEASE_TEST_ROUNDS`, or else this one.
pub fn rounds(otherwise: usize) -> usize {
    number("KVLEASE_TEST_ROUNDS", otherwise as u64) as usize
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_numbers_and_another_brings_others() {
        let numbers = |mut draws: Draws| -> Vec<u64> { (0..8).map(|_| draws.next()).collect() };
        assert_eq!(numbers(Draws::of(7, 1)), numbers(Draws::of(7, 1)));
        assert_ne!(numbers(Draws::of(7, 1)), numbers(Draws::of(7, 2)));
        assert_ne!(numbers(Draws::of(7, 1)), numbers(Draws::of(8, 1)));
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut draws = Draws::new(1_234_567);
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([draws.next(), draws.next()], published);
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut draws = Draws::new(1);
        for _ in 0..10_000 {
            assert!(draws.below(7) < 7);
            assert!((10..=1000).contains(&draws.log_between(10, 1000)));
        }
    }
}
