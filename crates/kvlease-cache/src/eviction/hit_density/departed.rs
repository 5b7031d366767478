//! Last uses of objects that were evicted lately.
//!
//! The objects that were evicted first are forgotten first. Entries have half of the hash only, so one object
//! in some thousands may be taken for another one.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::last_use::Use;

/// Objects that are remembered for each one in the cache.
const TIMES: usize = 4;

/// Objects for which there is room at least, where several owners have their own.
const OBJECTS_MIN: usize = 16;

/// Memory for each object in the cache, for the accounting: the entries, and their places in a table that may
/// be half empty.
pub(super) const BYTES: usize =
    TIMES * (size_of::<u32>() + size_of::<Use>() + 2 * (size_of::<u32>() + 1));

/// See the module.
#[derive(Default, Debug)]
pub(super) struct Departed {
    /// Part of the hash of each object, the one first that was evicted first.
    hashes: VecDeque<u32>,
    /// Last use of each.
    lasts: VecDeque<Use>,
    /// Number of the first entry; the others follow.
    first: u32,
    /// Numbers of the entries that have not come back, by hash.
    numbers: HashTable<u32>,
    len_max: usize,
}

impl Departed {
    /// Remembers as many objects as belong to a cache of this many.
    pub(super) fn grow(&mut self, objects: usize) {
        self.len_max = self.len_max.max(objects * TIMES);
    }

    /// Remembers an object. Returns the last use of the one that is forgotten for it, if that has not come back.
    pub(super) fn insert(&mut self, hash: u64, last: Use) -> Option<Use> {
        let forgotten = if self.hashes.len() >= self.len_max { self.forget_first() } else { None };
        if self.hashes.len() == self.hashes.capacity() {
            // An eighth more, not twice as much.
            let more = (self.hashes.len() / 8).max(64);
            self.hashes.reserve_exact(more);
            self.lasts.reserve_exact(more);
        }
        let (hash, number) = (part(hash), self.number_at(self.hashes.len()));
        self.hashes.push_back(hash);
        self.lasts.push_back(last);
        let Self { hashes, first, numbers, .. } = self;
        numbers
            .insert_unique(spread(hash), number, |number| spread(hashes[place(*number, *first)]));
        forgotten
    }

    /// Remembers as many objects as belong to this many in the cache, the latest, with memory for those. The last uses
    /// of those that are forgotten and have not come back are lost.
    pub(super) fn fit(&mut self, objects: usize, mut lose: impl FnMut(Use)) {
        self.len_max = objects.max(OBJECTS_MIN) * TIMES;
        if self.hashes.len() <= self.len_max {
            return;
        }
        while self.hashes.len() > self.len_max {
            if let Some(last) = self.forget_first() {
                lose(last);
            }
        }
        self.give_memory_back();
    }

    /// Keeps memory in proportion to what is remembered. Takes time for a part of it, once for as many that were
    /// forgotten.
    fn give_memory_back(&mut self) {
        let len = self.hashes.len();
        if len + len / 3 + TIMES * OBJECTS_MIN < self.hashes.capacity() {
            self.hashes.shrink_to(len + len / 8);
            self.lasts.shrink_to(len + len / 8);
        }
        let Self { hashes, first, numbers, .. } = self;
        if 4 * numbers.len() + TIMES * OBJECTS_MIN < numbers.capacity() {
            numbers.shrink_to(numbers.len(), |number| spread(hashes[place(*number, *first)]));
        }
    }

    /// Forgets an object and returns its last use, if it was there.
    pub(super) fn take(&mut self, hash: u64) -> Option<Use> {
        let hash = part(hash);
        let Self { hashes, first, numbers, .. } = self;
        let is_it = |number: &u32| hashes[place(*number, *first)] == hash;
        let (number, _) = numbers.find_entry(spread(hash), is_it).ok()?.remove();
        Some(self.lasts[place(number, self.first)])
    }

    /// Objects that are remembered.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    fn forget_first(&mut self) -> Option<Use> {
        let (hash, last) = (self.hashes.pop_front()?, self.lasts.pop_front()?);
        let number = self.first;
        self.first = number.wrapping_add(1);
        let entry = self.numbers.find_entry(spread(hash), |found| *found == number).ok()?;
        entry.remove();
        Some(last)
    }

    fn number_at(&self, place: usize) -> u32 {
        self.first.wrapping_add(place as u32)
    }
}

const fn place(number: u32, first: u32) -> usize {
    number.wrapping_sub(first) as usize
}

const fn part(hash: u64) -> u32 {
    (hash >> u32::BITS) as u32
}

/// The hash for the table, which uses the highest bits and the lowest ones.
const fn spread(part: u32) -> u64 {
    (part as u64) << u32::BITS | part as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hash of which every part is this number.
    fn hash(number: u32) -> u64 {
        spread(number)
    }

    #[test]
    fn what_was_evicted_first_is_forgotten_first() {
        let mut departed = Departed::default();
        departed.grow(2);
        let last = |number: u32| Use::first(0).again(u64::from(number));
        for number in 1..=8 {
            assert_eq!(departed.insert(hash(number), last(number)), None);
        }
        assert_eq!(departed.take(hash(2)), Some(last(2)));
        assert_eq!(departed.take(hash(2)), None);
        assert_eq!(departed.insert(hash(9), last(9)), Some(last(1)));
        assert_eq!(departed.insert(hash(10), last(10)), None, "it came back");
        assert_eq!(departed.insert(hash(11), last(11)), Some(last(3)));
        assert_eq!((departed.take(hash(1)), departed.take(hash(4))), (None, Some(last(4))));
        assert_eq!(departed.len(), 7);
    }

    #[test]
    fn a_smaller_cache_remembers_the_latest_in_less_memory() {
        let mut departed = Departed::default();
        departed.fit(10_000, |_| unreachable!("nothing is forgotten"));
        for number in 0..40_000 {
            assert_eq!(departed.insert(hash(number), Use::first(u64::from(number))), None);
        }
        assert_eq!(departed.take(hash(0)), Some(Use::first(0)));
        let mut lost = Vec::new();
        for objects in (100..10_000).rev() {
            departed.fit(objects, |last| lost.push(last.at()));
        }
        assert_eq!(lost, (1..39_600).collect::<Vec<_>>(), "but for the one that came back");
        assert_eq!((departed.len(), departed.hashes.len()), (400, 400));
        let capacities = (departed.hashes.capacity(), departed.numbers.capacity());
        assert!(capacities.0 < 800 && capacities.1 < 2_000, "{capacities:?}");
        assert_eq!(departed.take(hash(39_999)), Some(Use::first(39_999)));
        assert_eq!(departed.take(hash(39_599)), None);
    }

    #[test]
    fn numbers_begin_anew() {
        let mut departed = Departed { first: u32::MAX - 2, ..Departed::default() };
        departed.grow(2);
        for number in 0..1000 {
            departed.insert(hash(number), Use::first(u64::from(number)));
            let back = number.checked_sub(5).map(|number| (hash(number), u64::from(number)));
            if let Some((hash, at)) = back {
                assert_eq!(departed.take(hash), Some(Use::first(at)));
            }
        }
        assert_eq!(departed.len(), 5);
    }
}
