//! Batches that were published, for subscribers that ask for them again.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;

/// The most batches that are kept, as vLLM keeps.
const BATCHES_MAX: usize = 10_000;

/// The latest batches, bounded in number and in memory, and the memory of all that are alive.
#[derive(Debug)]
pub(super) struct History {
    batches: VecDeque<(u64, Bytes)>,
    bytes: usize,
    bytes_max: usize,
    /// Number of the batch that comes next.
    next: u64,
    /// Bytes of batches that the history or a queue of a subscriber has.
    alive: Arc<AtomicUsize>,
}

/// Bytes of a batch, counted while anything has them.
struct Counted {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.bytes.len(), Relaxed);
    }
}

impl History {
    /// Empty history, whose first batch gets this number.
    pub(super) fn new(bytes_max: usize, next: u64) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bytes_max, next, alive: Arc::default() }
    }

    /// Number of the batch that comes next.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Appends a batch; the oldest leave for it. Returns its number and its bytes.
    pub(super) fn append(&mut self, bytes: Vec<u8>) -> (u64, Bytes) {
        let number = self.next;
        self.next += 1;
        self.alive.fetch_add(bytes.len(), Relaxed);
        let bytes = Bytes::from_owner(Counted { bytes, alive: Arc::clone(&self.alive) });
        self.bytes += bytes.len();
        self.batches.push_back((number, bytes.clone()));
        while self.batches.len() > BATCHES_MAX || self.bytes > self.bytes_max {
            let (_, oldest) = self.batches.pop_front().expect("an empty history has no bytes");
            self.bytes -= oldest.len();
        }
        (number, bytes)
    }

    /// Whether all batches from this number on are there, and it is one of this incarnation.
    pub(super) fn has(&self, from: u64) -> bool {
        (self.next - self.batches.len() as u64..=self.next).contains(&from)
    }

    /// Copies of the batches from this number on.
    pub(super) fn from(&self, from: u64) -> Vec<(u64, Bytes)> {
        let batches = self.batches.iter().filter(|(number, _)| *number >= from);
        batches.cloned().collect()
    }

    /// Bytes of batches that have left the history and that queues of subscribers still have.
    pub(super) fn queued(&self) -> usize {
        self.alive.load(Relaxed).saturating_sub(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_batches_leave_and_are_counted_while_a_queue_has_them() {
        let mut history = History::new(10, 0);
        let queue: Vec<_> = (0..4).map(|_| history.append(vec![0; 4])).collect();
        assert_eq!(queue.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let kept: Vec<_> = history.from(0).iter().map(|(number, _)| *number).collect();
        assert_eq!(kept, [2, 3]);
        let asked: Vec<_> = (0..6).filter(|from| history.has(*from)).collect();
        assert_eq!(asked, [2, 3, 4], "5 is of another incarnation");
        assert_eq!(history.queued(), 8);
        drop(queue);
        assert_eq!(history.queued(), 0);
        history.append(vec![0; 11]);
        assert_eq!((history.from(0), history.next()), (Vec::new(), 5));
    }
}
