//! Ghost: hashes of the names of objects that left lately, each with a mark.

use std::collections::VecDeque;

use crate::hash::NumberMap;

/// Queue of hashes in the order in which their objects left.
#[derive(Default, Debug)]
pub(crate) struct Ghost {
    queue: VecDeque<(u64, Stamp)>,
    /// Which entry of the queue is the valid one of a hash.
    latest: NumberMap<u64, Stamp>,
    sequence: u64,
}

/// Entries for which there may be room, whatever is remembered.
const SPARE: usize = 64;

/// Number of an entry, and its mark in the lowest bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp(u64);

impl Stamp {
    const fn is_marked(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Ghost {
    /// Memory per entry, for the accounting: the queue may have twice its length in capacity and
    /// the table twice its entries.
    pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<(u64, Stamp)>() + 2 * (16 + 1);

    /// Remembers a hash as the newest.
    pub(crate) fn insert(&mut self, hash: u64, marked: bool) {
        self.sequence += 2;
        let stamp = Stamp(self.sequence | u64::from(marked));
        self.queue.push_back((hash, stamp));
        self.latest.insert(hash, stamp);
    }

    /// Forgets a hash and says whether it was there.
    pub(crate) fn take(&mut self, hash: u64) -> bool {
        self.latest.remove(&hash).is_some()
    }

    /// The mark of a hash, if that is remembered.
    pub(crate) fn get(&self, hash: u64) -> Option<bool> {
        self.latest.get(&hash).map(|stamp| stamp.is_marked())
    }

    /// Forgets the oldest entries until `len` are left.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.queue.len() > len
            && let Some((hash, stamp)) = self.queue.pop_front()
        {
            if self.latest.get(&hash) == Some(&stamp) {
                self.latest.remove(&hash);
            }
        }
        // Of several ghosts one may shrink while another one grows.
        let len = self.queue.len();
        if 4 * len + SPARE < self.queue.capacity() {
            self.queue.shrink_to(2 * len);
            self.latest.shrink_to(2 * len);
        }
    }

    /// Entries, with those that were taken and still have their place in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Asserts that no hash is remembered outside of the queue.
    pub(crate) fn check(&self) {
        let valid =
            self.queue.iter().filter(|(hash, stamp)| self.latest.get(hash) == Some(stamp)).count();
        assert_eq!(valid, self.latest.len(), "every remembered hash has its place in the queue");
    }
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
}
