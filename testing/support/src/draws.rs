//! Draws from a seed.

use std::env;

/// A stream of draws: SplitMix64, so that a seed means the same run everywhere.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of the seed in `KVLEASE_TEST_SEED`, or else of this one. Prints how to replay it.
    pub fn seeded(otherwise: u64) -> Self {
        let seed = number("KVLEASE_TEST_SEED", otherwise);
        println!("replay with KVLEASE_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    ///
    /// If `end` is zero.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place among `len`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub const fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `times` draws.
    pub const fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// An element, if there is one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.index(from.len())) }
    }

    /// Takes an element out, if there is one.
    pub fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() { None } else { Some(from.swap_remove(self.index(from.len()))) }
    }
}

/// Bytes that no other seed has.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    Draws::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).bytes(len)
}

/// How many rounds a test makes: `otherwise`, unless `KVLEASE_TEST_ROUNDS` says so.
pub fn rounds(otherwise: usize) -> usize {
    number("KVLEASE_TEST_ROUNDS", otherwise as u64) as usize
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}
