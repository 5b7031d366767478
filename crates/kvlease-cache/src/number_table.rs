//! Numbers by a hash: slots of objects by their group, and entries of a queue by the name.
//!
//! An open table with a part of the hash beside each number: an entry is at the place that its hash says, or at one of the
//! next ones. So an operation reads and writes one or two lines of the cache, and what the numbers stand for only if it is
//! found, which is cold. Places are in the order of the hashes, whatever their number is: growth goes through both
//! tables from front to back.

use crate::slab::NONE;

/// Places when the first number comes.
const PLACES_MIN: usize = 64;

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct NumberTable {
    entries: Vec<Entry>,
    len: usize,
}

/// One place.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// [`NONE`] if the place is free.
    number: u32,
    hash: u32,
}

const FREE: Entry = Entry { number: NONE, hash: 0 };

impl NumberTable {
    /// Memory for each number, for the accounting: a third of the places are taken at least, once there are some.
    pub(crate) const ENTRY_BYTES: usize = 3 * size_of::<Entry>();

    /// Numbers in the table.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Reads the place where an operation on this hash begins: several of these do not wait for one another.
    pub(crate) fn prefetch(&self, hash: u64) -> u32 {
        self.entries.get(self.home(part(hash))).map_or(0, |entry| entry.number)
    }

    /// The number of this hash that is the same, or else adds one.
    pub(crate) fn find_or_insert(
        &mut self,
        hash: u64,
        number: u32,
        is_same: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        self.grow();
        let hash = part(hash);
        let mut place = self.home(hash);
        loop {
            let entry = self.entries[place];
            if entry.number == NONE {
                self.entries[place] = Entry { number, hash };
                self.len += 1;
                return None;
            }
            if entry.hash == hash && is_same(entry.number) {
                return Some(entry.number);
            }
            place = self.behind(place);
        }
    }

    /// The number of this hash that is the one.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.place_of(part(hash), is_it).map(|place| self.entries[place].number)
    }

    /// Takes out the number of this hash that is the one.
    pub(crate) fn take(&mut self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let place = self.place_of(part(hash), is_it)?;
        let number = self.entries[place].number;
        self.free(place);
        Some(number)
    }

    /// Puts another number in the place of one. Nothing changes if that is not there.
    pub(crate) fn replace(&mut self, hash: u64, number: u32, other: u32) {
        if let Some(place) = self.place_of(part(hash), |found| found == number) {
            self.entries[place].number = other;
        }
    }

    fn place_of(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut place = self.home(hash);
        loop {
            let entry = self.entries[place];
            if entry.number == NONE {
                return None;
            }
            if entry.hash == hash && is_it(entry.number) {
                return Some(place);
            }
            place = self.behind(place);
        }
    }

    /// Frees a place, and brings entries behind it nearer to their own.
    fn free(&mut self, mut hole: usize) {
        self.len -= 1;
        let mut place = hole;
        loop {
            place = self.behind(place);
            let entry = self.entries[place];
            if entry.number == NONE {
                break;
            }
            if self.steps(self.home(entry.hash), place) >= self.steps(hole, place) {
                self.entries[hole] = entry;
                hole = place;
            }
        }
        self.entries[hole] = FREE;
    }

    /// Makes room for another entry: at most half of the places are taken, or operations would look at many.
    fn grow(&mut self) {
        let places = self.entries.len();
        if (self.len + 1) * 2 <= places {
            return;
        }
        self.resize(places + places / 2);
    }

    /// Gives back memory beyond that of this many numbers.
    pub(crate) fn shrink_to(&mut self, numbers: usize) {
        let places = 2 * numbers.max(self.len + 1);
        if places.max(PLACES_MIN) < self.entries.len() {
            self.resize(places);
        }
    }

    fn resize(&mut self, places: usize) {
        let other = vec![FREE; places.max(PLACES_MIN)];
        let before = std::mem::replace(&mut self.entries, other);
        for entry in before.into_iter().filter(|entry| entry.number != NONE) {
            let mut place = self.home(entry.hash);
            while self.entries[place].number != NONE {
                place = self.behind(place);
            }
            self.entries[place] = entry;
        }
    }

    /// The place that a hash says.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> u32::BITS) as usize
    }

    fn behind(&self, place: usize) -> usize {
        if place + 1 == self.entries.len() { 0 } else { place + 1 }
    }

    /// Steps from one place to another one behind it.
    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}

const fn part(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kvlease_testing::Draws;

    use super::*;

    #[test]
    fn numbers_are_found_by_their_hash_until_they_are_taken_out() {
        let mut draws = Draws::new(11);
        for bits in [4, 10, 64] {
            let mut table = NumberTable::default();
            assert!(table.find(0, |_| true).is_none());
            // By name: its hash, of which several may have the same, and its number.
            let mut model: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
            for round in 0..20_000_u32 {
                let name = draws.below(300) as u32;
                match model.get(&name).copied() {
                    None => {
                        let hash = draws.next() >> (64 - bits);
                        assert_eq!(table.find_or_insert(hash, round, |_| false), None);
                        model.insert(name, (hash, round));
                    }
                    Some((hash, number)) if draws.one_in(2) => {
                        let is_it = |found| found == number;
                        assert_eq!(table.find_or_insert(hash, round, is_it), Some(number));
                        table.replace(hash, number, round);
                        model.insert(name, (hash, round));
                    }
                    Some((hash, number)) => {
                        let is_it = |found| found == number;
                        assert_eq!(table.take(hash, is_it), Some(number));
                        assert_eq!(table.take(hash, is_it), None);
                        model.remove(&name);
                    }
                }
                if draws.one_in(500) {
                    table.shrink_to(draws.below(300) as usize);
                }
                assert_eq!(table.len(), model.len());
                if round % 100 == 0 {
                    for (hash, number) in model.values() {
                        assert!(table.find(*hash, |found| found == *number).is_some(), "{bits}");
                    }
                }
            }
            assert!(table.entries.len() < 1200, "{}", table.entries.len());
        }
    }
}
