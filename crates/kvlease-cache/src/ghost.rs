//! Ghost: hashes of the names of objects that left lately, each with a mark.

use std::collections::VecDeque;

use crate::number_table::NumberTable;

/// Queue of hashes in the order in which their objects left.
#[derive(Default, Debug)]
pub(crate) struct Ghost {
    queue: VecDeque<u64>,
    /// Stamp of the valid entry of each hash.
    latest: NumberTable,
    /// Number of the first entry; the others follow.
    first: u32,
}

/// Entries for which there may be room, whatever is remembered.
const SPARE: usize = 64;

/// Number of an entry, which begins anew long after it has left the queue, and its mark in the lowest bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp(u32);

impl Stamp {
    /// Numbers that there are: one bit is that of the mark, and one tells a stamp from none.
    const NUMBERS: u32 = 1 << (u32::BITS - 2);

    const fn number(self) -> u32 {
        self.0 >> 1
    }

    const fn is_marked(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Ghost {
    /// Memory per entry, for the accounting: the queue may have twice its length in capacity.
    pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<u64>() + NumberTable::ENTRY_BYTES;

    /// Remembers a hash as the newest.
    pub(crate) fn insert(&mut self, hash: u64, marked: bool) {
        let number = self.first.wrapping_add(self.queue.len() as u32) % Stamp::NUMBERS;
        let stamp = Stamp(number << 1 | u32::from(marked));
        let Self { queue, latest, first } = self;
        let is_same = |stamp| queue[place(Stamp(stamp), *first)] == hash;
        if let Some(before) = latest.find_or_insert(hash, stamp.0, is_same) {
            latest.replace(hash, before, stamp.0);
        }
        queue.push_back(hash);
    }

    /// Forgets a hash and says whether it was there.
    pub(crate) fn take(&mut self, hash: u64) -> bool {
        let Self { queue, latest, first } = self;
        latest.take(hash, |stamp| queue[place(Stamp(stamp), *first)] == hash).is_some()
    }

    /// The mark of a hash, if that is remembered.
    pub(crate) fn get(&self, hash: u64) -> Option<bool> {
        let is_it = |stamp| self.queue[place(Stamp(stamp), self.first)] == hash;
        self.latest.find(hash, is_it).map(|stamp| Stamp(stamp).is_marked())
    }

    /// Forgets the oldest entries until `len` are left.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.queue.len() > len
            && let Some(hash) = self.queue.pop_front()
        {
            let number = self.first;
            self.first = (number + 1) % Stamp::NUMBERS;
            self.latest.take(hash, |stamp| Stamp(stamp).number() == number);
        }
        // Of several ghosts one may shrink while another one grows.
        let len = self.queue.len();
        if 4 * len + SPARE < self.queue.capacity() {
            self.queue.shrink_to(2 * len);
            self.latest.shrink_to(2 * len);
        }
    }

    /// Reads what an insertion of this hash, or its removal, begins with.
    pub(crate) fn prefetch(&self, hash: u64) -> u32 {
        self.latest.prefetch(hash)
    }

    /// Reads what the removal of this many of the oldest begins with.
    pub(crate) fn prefetch_oldest(&self, count: usize) -> u32 {
        self.queue.iter().take(count).fold(0, |sum, hash| sum ^ self.latest.prefetch(*hash))
    }

    /// Entries, with those that were taken and still have their place in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Asserts that no hash is remembered outside of the queue.
    pub(crate) fn check(&self) {
        let is_valid = |(place, hash): &(usize, &u64)| {
            let number = (self.first + *place as u32) % Stamp::NUMBERS;
            self.latest.find(**hash, |stamp| Stamp(stamp).number() == number).is_some()
        };
        let valid = self.queue.iter().enumerate().filter(is_valid).count();
        assert_eq!(valid, self.latest.len(), "every remembered hash has its place in the queue");
    }
}

/// Place in the queue whose first entry has this number.
const fn place(stamp: Stamp, first: u32) -> usize {
    (stamp.number().wrapping_sub(first) % Stamp::NUMBERS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first_and_a_renewed_one_is_not_old() {
        let mut ghost = Ghost::default();
        for hash in [1, 2, 3, 1] {
            ghost.insert(hash, hash == 1);
        }
        assert_eq!((ghost.get(1), ghost.get(3)), (Some(true), Some(false)));
        ghost.truncate(2);
        ghost.check();
        assert_eq!(
            (ghost.take(2), ghost.take(1), ghost.take(1), ghost.take(3)),
            (false, true, false, true)
        );
        assert_eq!(ghost.len(), 2);
        ghost.truncate(0);
        ghost.check();
        assert_eq!(ghost.len(), 0);
    }

    #[test]
    fn numbers_begin_anew() {
        let mut ghost = Ghost { first: Stamp::NUMBERS - 3, ..Ghost::default() };
        for hash in 0..20 {
            ghost.insert(hash, hash % 3 == 0);
            ghost.truncate(5);
            ghost.check();
            let oldest = hash.saturating_sub(4);
            assert!((oldest..=hash).all(|known| ghost.get(known) == Some(known % 3 == 0)));
            assert!(oldest == 0 || ghost.get(oldest - 1).is_none());
        }
        assert!(ghost.take(17) && !ghost.take(17) && ghost.take(19));
        ghost.check();
    }
}
