//! Last uses of objects that were evicted lately.
//!
//! A table of sets: an entry that enters a full set replaces the one that entered first. Entries have a
//! part of the hash only, so two objects may be taken for one: once in a hundred thousand times.

use super::returns::Use;

/// Entries of a set.
const WAYS: usize = 8;

/// Bits of the hash in an entry, below the number of the use.
const TAG_BITS: u32 = u64::BITS - Use::BITS;

/// Objects that are remembered for each one in the cache.
const TIMES: usize = 4;

/// Sets at least: a small cache learns little from as few objects as it has.
const SETS_MIN: usize = 4096;

/// Memory for each object in the cache, for the accounting: the number of sets is a power of two.
pub(super) const BYTES: usize = 2 * TIMES * size_of::<u64>();

/// See the module.
#[derive(Default, Debug)]
pub(super) struct Departed {
    /// The entry that came last is the first one of its set; an entry of zero is free.
    sets: Vec<[u64; WAYS]>,
}

impl Departed {
    /// Makes room for a cache of this many objects. What was remembered is forgotten: a cache that still
    /// grows has evicted little.
    pub(super) fn grow(&mut self, objects: usize) {
        let sets = (objects * TIMES).div_ceil(WAYS).next_power_of_two().max(SETS_MIN);
        if sets > self.sets.len() {
            self.sets = vec![[0; WAYS]; sets];
        }
    }

    /// Remembers an object. Returns what is forgotten for it.
    pub(super) fn insert(&mut self, hash: u64, last: Use) -> Option<Use> {
        let set = self.set(hash)?;
        let gap = set.iter().position(|entry| *entry == 0).unwrap_or(WAYS - 1);
        let replaced = set[gap];
        set.copy_within(..gap, 1);
        set[0] = last.number() << TAG_BITS | tag(hash);
        used(replaced)
    }

    /// Forgets an object and returns its last use, if it was there.
    pub(super) fn take(&mut self, hash: u64) -> Option<Use> {
        let mut entries = self.set(hash)?.iter_mut();
        let entry = entries.find(|entry| used(**entry).is_some() && tag(**entry) == tag(hash))?;
        used(std::mem::take(entry))
    }

    /// The entry at a place, and nothing behind the last one.
    pub(super) fn at(&self, place: usize) -> Option<Option<Use>> {
        let set = self.sets.get(place / WAYS)?;
        Some(used(set[place % WAYS]))
    }

    fn set(&mut self, hash: u64) -> Option<&mut [u64; WAYS]> {
        let last = self.sets.len().checked_sub(1)?;
        self.sets.get_mut((hash >> TAG_BITS) as usize & last)
    }
}

const fn tag(hash: u64) -> u64 {
    hash & ((1 << TAG_BITS) - 1)
}

fn used(entry: u64) -> Option<Use> {
    (entry != 0).then(|| Use::of_number(entry >> TAG_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_set_forgets_the_entry_that_came_first() {
        let mut departed = Departed::default();
        assert_eq!(departed.insert(1, Use::new(1, 0)), None);
        assert_eq!(departed.take(1), None, "there is no room yet");
        departed.grow(2);
        for at in 1..=WAYS as u64 {
            assert_eq!(departed.insert(at, Use::new(at, 1)), None);
        }
        assert_eq!(departed.insert(99, Use::new(99, 0)), Some(Use::new(1, 1)));
        assert_eq!(departed.take(1), None);
        assert_eq!(departed.take(2), Some(Use::new(2, 1)));
        assert_eq!(departed.take(2), None);
        assert_eq!(departed.insert(100, Use::new(100, 0)), None, "its place is free");
    }

    #[test]
    fn every_entry_has_a_place() {
        let mut departed = Departed::default();
        departed.grow(100);
        for at in 1..=50 {
            departed.insert(at << TAG_BITS, Use::new(at, 0));
        }
        let places = (0..).map_while(|place| departed.at(place));
        assert_eq!(places.flatten().count(), 50);
    }
}
