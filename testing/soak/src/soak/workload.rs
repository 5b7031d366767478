//! Which keys there are, and how long each version of their objects is.

use std::ops::RangeInclusive;

use crate::{
    Payload,
    random::{Random, mix},
};

/// The shortest object in bytes.
const LEN_MIN: u64 = 1 << 10;

/// The longest object in bytes.
const LEN_MAX: u64 = 8 << 20;

/// How many times the arena's capacity all objects have together, at least.
const OVERCOMMIT: u64 = 4;

/// By how much of its length an object may be shorter in some version: one part in so many.
const LEN_SPREAD: u64 = 8;

/// The keys and lengths that follow from a seed and a capacity.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    seed: u64,
    lens: Vec<u64>,
}

impl Workload {
    /// Far more than an arena of this capacity holds.
    pub(super) fn new(seed: u64, capacity: u64) -> Self {
        Self::of(seed, OVERCOMMIT * capacity, LEN_MIN..=LEN_MAX)
    }

    /// Objects of these lengths that together have at least so many bytes in every version.
    pub(crate) fn of(seed: u64, bytes: u64, lens: RangeInclusive<u64>) -> Self {
        let (mut random, (low, high)) = (Random::new(seed), lens.into_inner());
        let mut lens = Vec::new();
        let mut shortest = 0;
        while shortest < bytes {
            let len = random.log_between(low + low / LEN_SPREAD * 2, high);
            shortest += len - len / LEN_SPREAD;
            lens.push(len);
        }
        Self { seed, lens }
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.lens.len()
    }

    /// Bytes of all objects together, each in its longest version.
    pub(crate) fn bytes(&self) -> u64 {
        self.lens.iter().sum()
    }

    /// The name of a key. It needs percent-encoding, as those of LMCache do.
    pub(crate) fn key(&self, index: usize) -> String {
        format!("org/model@{:x}@{index}", self.seed)
    }

    /// The payload of a version of a key.
    pub(crate) fn payload(&self, index: usize, version: u64) -> Payload {
        Payload::new(&self.key(index), version, self.len(index, version))
    }

    /// How long a version of a key is. A third of the lengths are whole pages.
    pub(crate) fn len(&self, index: usize, version: u64) -> usize {
        let longest = self.lens[index];
        let shorter = mix(self.seed ^ mix(index as u64) ^ version) % (longest / LEN_SPREAD).max(1);
        let len = longest - shorter;
        let len = if version.is_multiple_of(3) { (len & !4095).max(4096.min(len)) } else { len };
        len as usize
    }

    /// A key that a reader asks for: the lower half of them is asked for three times as often as
    /// the rest, so that eviction has a choice.
    pub(crate) fn wanted(&self, random: &mut Random) -> usize {
        let keys = self.keys() as u64;
        let range = if random.percent(50) { (keys / 2).max(1) } else { keys };
        random.below(range) as usize
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
