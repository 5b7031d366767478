//! Feed: the latest changes, for readers that may fall behind.

use std::collections::VecDeque;

use super::Change;

/// Bounded history of the changes that the required readers have applied.
///
/// Each reader keeps the sequence number that it wants next. One that fell behind, or begins, gets a
/// [`Gap`] and takes a snapshot: it notes [`next`](Self::next), lists the catalog, and reads on from
/// the number that it noted. Changes that the snapshot shows already come again; the generation of
/// the object tells.
#[derive(Debug)]
pub struct ChangeFeed {
    ring: VecDeque<Change>,
    capacity: usize,
    /// Of the change that comes next.
    next: u64,
}

/// A reader missed changes: it has to take a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("changes were missed: take a snapshot and read on, next=`{next}`")]
pub struct Gap {
    /// Number to read on from behind the snapshot.
    pub next: u64,
}

impl ChangeFeed {
    /// Empty feed of this many changes, which takes its memory at once. `next` is the number of the
    /// first change that comes.
    pub fn new(capacity: usize, next: u64) -> Self {
        Self { ring: VecDeque::with_capacity(capacity), capacity, next }
    }

    /// Number of the change that comes next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Number of the oldest change in the feed, or [`next`](Self::next) while there is none.
    pub fn oldest(&self) -> u64 {
        self.next - self.ring.len() as u64
    }

    /// Keeps this many changes from now on. The oldest leave if there are more.
    pub fn resize(&mut self, capacity: usize) {
        let surplus = self.ring.len().saturating_sub(capacity);
        self.ring.drain(..surplus);
        self.ring.shrink_to(capacity);
        self.ring.reserve_exact(capacity - self.ring.len());
        self.capacity = capacity;
    }

    /// Adds changes, in the order of their numbers; the oldest leave for them.
    pub fn append(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            assert_eq!(change.sequence, self.next, "the feed has no gap within");
            self.next += 1;
            if self.ring.len() >= self.capacity {
                self.ring.pop_front();
            }
            if self.capacity > 0 {
                self.ring.push_back(change);
            }
        }
    }

    /// The changes from number `from` on, oldest first: all that there are.
    ///
    /// # Errors
    ///
    /// [`Gap`] when some of them have left the feed, or were never in it.
    pub fn read(&self, from: u64) -> Result<impl Iterator<Item = &Change>, Gap> {
        let oldest = self.oldest();
        if from < oldest || from > self.next {
            return Err(Gap { next: self.next });
        }
        let skipped = usize::try_from(from - oldest).expect("it is within the ring");
        Ok(self.ring.range(skipped..))
    }
}
