//! Names of objects that left lately, as hashes.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// A queue of hashes in the order in which their objects left.
#[derive(Default, Debug)]
pub(crate) struct Ghost {
    queue: VecDeque<(u64, u64)>,
    /// Which entry of the queue is the valid one of a hash.
    latest: HashMap<u64, u64>,
    sequence: u64,
}

impl Ghost {
    /// Memory per entry, for the accounting: the queue may have twice its length in capacity and
    /// the table twice its entries.
    pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<(u64, u64)>() + 2 * (16 + 1);

    /// Remembers a hash as the newest.
    pub(crate) fn insert(&mut self, hash: u64) {
        self.sequence += 1;
        self.queue.push_back((hash, self.sequence));
        self.latest.insert(hash, self.sequence);
    }

    /// Forgets a hash and says whether it was there.
    pub(crate) fn take(&mut self, hash: u64) -> bool {
        self.latest.remove(&hash).is_some()
    }

    /// Whether a hash is remembered.
    pub(crate) fn contains(&self, hash: u64) -> bool {
        self.latest.contains_key(&hash)
    }

    /// Forgets the oldest entries until `len` are left.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.queue.len() > len
            && let Some((hash, sequence)) = self.queue.pop_front()
        {
            if self.latest.get(&hash) == Some(&sequence) {
                self.latest.remove(&hash);
            }
        }
    }

    /// Entries, those included that were taken and still have their place in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Asserts that no hash is remembered outside of the queue.
    pub(crate) fn check(&self) {
        let valid =
            self.queue.iter().filter(|(hash, seq)| self.latest.get(hash) == Some(seq)).count();
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
            ghost.insert(hash);
        }
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
