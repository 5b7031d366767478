//! Objects of a series of kills.

use kvlease_harness::Payload;
use kvlease_testing::Draws;
use kvlease_types::Key;

use crate::workload::Workload;

/// Share of long names, in percent: their manifest entries take several cells.
const LONG_PERCENT: u64 = 25;

/// Most characters that they are longer.
const LONGER_MAX: u64 = 1900;

/// Shortest object in bytes.
const LEN_MIN: u64 = 1 << 10;

/// Longest object, unless it must be a small part of a small arena.
const LEN_MAX: u64 = 2 << 20;

/// Largest object, as a part of the bytes of all objects.
const PART: u64 = 32;

/// Keys, and the payloads of their versions.
#[derive(Debug)]
pub(super) struct Objects {
    workload: Workload,
    keys: Vec<Key>,
}

impl Objects {
    /// Objects that together have at least `bytes`.
    pub(super) fn new(seed: u64, bytes: u64) -> Self {
        let workload = Workload::of(seed, bytes, LEN_MIN..=LEN_MAX.min(bytes / PART));
        let mut draws = Draws::new(seed);
        let name = |index| {
            let long = draws.percent(LONG_PERCENT);
            let more = if long { draws.log_between(1, LONGER_MAX) } else { 0 };
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

    /// Key that a reader asks for.
    pub(super) fn wanted(&self, draws: &mut Draws) -> usize {
        self.workload.wanted(draws)
    }
}
