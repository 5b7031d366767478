//! Which objects there are.

use kvlease_client::Key;

use crate::{Payload, Random, soak::workload::Workload};

/// How many names of a hundred are long: their records take several cells.
const LONG_PERCENT: u64 = 25;

/// By how many characters they are longer, at most.
const LONGER_MAX: u64 = 1900;

/// The shortest object in bytes.
const LEN_MIN: u64 = 1 << 10;

/// The longest, unless it must be a small part of a small arena.
const LEN_MAX: u64 = 2 << 20;

/// The part of the bytes of all objects that one has, at most.
const PART: u64 = 32;

/// Keys, and the payloads that they stand for.
#[derive(Debug)]
pub(super) struct Objects {
    workload: Workload,
    keys: Vec<Key>,
}

impl Objects {
    /// Objects that together have at least so many bytes.
    pub(super) fn new(seed: u64, bytes: u64) -> Self {
        let workload = Workload::of(seed, bytes, LEN_MIN..=LEN_MAX.min(bytes / PART));
        let mut random = Random::new(seed);
        let name = |index| {
            let long = random.percent(LONG_PERCENT);
            let more = if long { random.log_between(1, LONGER_MAX) } else { 0 };
            format!("{}{}", workload.key(index), "@".repeat(more as usize))
        };
        let keys = (0..workload.keys()).map(name);
        let keys = keys.map(|name| Key::new(name).expect("it is short enough for a name"));
        let keys = keys.collect();
        Self { workload, keys }
    }

    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn key(&self, index: usize) -> &Key {
        &self.keys[index]
    }

    pub(super) fn payload(&self, index: usize, version: u64) -> Payload {
        Payload::new(self.keys[index].as_str(), version, self.workload.len(index, version))
    }

    /// A key that a reader asks for.
    pub(super) fn wanted(&self, random: &mut Random) -> usize {
        self.workload.wanted(random)
    }
}
