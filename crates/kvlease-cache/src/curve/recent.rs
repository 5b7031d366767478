//! Objects of the sample that something happened to lately.

use std::{collections::VecDeque, time::Duration};

use kvlease_types::Timestamp;

use crate::hash::NumberMap;

/// Objects that are remembered at most.
const RECENT_MAX: usize = 8_192;

/// A value for each object, by the hash of its name, for a while.
#[derive(Debug)]
pub(super) struct Recent<T> {
    span: Duration,
    /// In the order in which they came, with those that were taken or came again.
    queue: VecDeque<(u64, Timestamp)>,
    latest: NumberMap<u64, (Timestamp, T)>,
}

impl<T> Recent<T> {
    /// Bytes at most: queue and table may have twice their length in capacity.
    pub(super) const MEMORY: usize = 2 * RECENT_MAX * (16 + 16 + size_of::<T>() + 8 + 1);

    /// Remembers each object for `span`.
    pub(super) fn new(span: Duration) -> Self {
        Self { span, queue: VecDeque::new(), latest: NumberMap::default() }
    }

    pub(super) fn insert(&mut self, hash: u64, value: T, now: Timestamp) {
        self.queue.push_back((hash, now));
        self.latest.insert(hash, (now, value));
        while self.queue.len() > RECENT_MAX
            || self.queue.front().is_some_and(|(_, at)| now.since(*at) >= self.span)
        {
            let Some((hash, at)) = self.queue.pop_front() else { break };
            if self.latest.get(&hash).is_some_and(|(latest, _)| *latest == at) {
                self.latest.remove(&hash);
            }
        }
    }

    /// Forgets an object. Returns when it came last, and its value, if it was remembered.
    pub(super) fn take(&mut self, hash: u64, now: Timestamp) -> Option<(Timestamp, T)> {
        self.latest.remove(&hash).filter(|(at, _)| now.since(*at) < self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn an_object_is_remembered_once_and_for_a_while() {
        let mut recent = Recent::new(Duration::from_secs(10));
        recent.insert(1, 'a', at(0));
        recent.insert(2, 'b', at(5));
        assert_eq!(recent.take(1, at(9)), Some((at(0), 'a')));
        assert_eq!(recent.take(1, at(9)), None, "it was taken");
        assert_eq!(recent.take(2, at(15)), None, "it is too long ago");
        recent.insert(3, 'c', at(20));
        assert_eq!((recent.queue.len(), recent.latest.len()), (1, 1));
    }

    #[test]
    fn the_oldest_are_forgotten_beyond_the_limit() {
        let mut recent = Recent::new(Duration::from_secs(10));
        for hash in 0..=RECENT_MAX as u64 {
            recent.insert(hash, (), at(hash / 8192));
        }
        assert_eq!(recent.take(0, at(1)), None);
        assert!(recent.take(1, at(1)).is_some());
        assert!(recent.queue.len() <= RECENT_MAX && recent.latest.len() <= RECENT_MAX);
    }
}
