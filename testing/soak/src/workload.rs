//! Keys of a soak, and the length of each version of their objects.

use std::ops::RangeInclusive;

use kvlease_harness::Payload;
use kvlease_testing::{Draws, mix};

/// Shortest object in bytes.
const LEN_MIN: u64 = 1 << 10;

/// Longest object in bytes.
const LEN_MAX: u64 = 8 << 20;

/// Least size of all objects together, in capacities of the arena.
const OVERCOMMIT: u64 = 4;

/// Part of its length by which an object may be shorter in some version: one in `LEN_SPREAD`.
const LEN_SPREAD: u64 = 8;

/// Keys and lengths that follow from a seed and a capacity.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    seed: u64,
    lens: Vec<u64>,
}

impl Workload {
    /// Far more objects than an arena of this capacity holds.
    pub(crate) fn new(seed: u64, capacity: u64) -> Self {
        Self::of(seed, OVERCOMMIT * capacity, LEN_MIN..=LEN_MAX)
    }

    /// Objects of these lengths with at least `bytes` together, in every version.
    pub(crate) fn of(seed: u64, bytes: u64, lens: RangeInclusive<u64>) -> Self {
        let (mut draws, (low, high)) = (Draws::new(seed), lens.into_inner());
        let mut lens = Vec::new();
        let mut shortest = 0;
        while shortest < bytes {
            let len = draws.log_between(low + low / LEN_SPREAD * 2, high);
            shortest += len - len / LEN_SPREAD;
            lens.push(len);
        }
        Self { seed, lens }
    }

    /// Number of keys.
    pub(crate) fn keys(&self) -> usize {
        self.lens.len()
    }

    /// Bytes of all objects together, each in its longest version.
    pub(crate) fn bytes(&self) -> u64 {
        self.lens.iter().sum()
    }

    /// Name of a key. It needs percent-encoding, as those of LMCache do.
    pub(crate) fn key(&self, index: usize) -> String {
        format!("org/model@{:x}@{index}", self.seed)
    }

    /// Payload of a version of a key.
    pub(crate) fn payload(&self, index: usize, version: u64) -> Payload {
        Payload::new(&self.key(index), version, self.len(index, version))
    }

    /// Length of a version of a key. A third of the lengths are whole pages.
    pub(crate) fn len(&self, index: usize, version: u64) -> usize {
        let longest = self.lens[index];
        let shorter = mix(self.seed ^ mix(index as u64) ^ version) % (longest / LEN_SPREAD).max(1);
        let len = longest - shorter;
        let len = if version.is_multiple_of(3) { (len & !4095).max(4096.min(len)) } else { len };
        len as usize
    }

    /// Key that a reader asks for: the lower half is asked for three times as often as the rest, so
    /// that eviction has a choice.
    pub(crate) fn wanted(&self, draws: &mut Draws) -> usize {
        let keys = self.keys() as u64;
        let range = if draws.percent(50) { (keys / 2).max(1) } else { keys };
        draws.below(range) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_together_are_far_above_capacity_and_within_the_lengths() {
        let (seed, capacity) = (7, 64 << 20);
        let workload = Workload::new(seed, capacity);
        for version in 1..4 {
            let lens = (0..workload.keys()).map(|index| workload.payload(index, version).len());
            let lens: Vec<u64> = lens.map(|len| len as u64).collect();
            assert!(lens.iter().all(|len| (LEN_MIN..=LEN_MAX).contains(len)));
            let all: u64 = lens.iter().sum();
            assert!(all + (lens.len() as u64) * 4096 >= OVERCOMMIT * capacity, "version {version}");
            assert!(lens.iter().any(|len| !len.is_multiple_of(4096)) || version == 3);
        }
    }
}
