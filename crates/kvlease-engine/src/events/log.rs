//! Log of the latest events, bounded in memory.

use std::collections::VecDeque;

use super::event::Event;

/// The events with numbers from `first` up to `next`, oldest first.
#[derive(Debug)]
pub(super) struct EventLog {
    events: VecDeque<Event>,
    /// Memory of the events in bytes.
    memory: usize,
    memory_max: usize,
    /// The least number from which a reader misses nothing.
    first: u64,
    /// Number of the change that comes next.
    next: u64,
}

/// Events that a reader wants have left the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Missed;

impl EventLog {
    /// Empty log that begins with the change of this number.
    pub(super) fn starting_at(first: u64, memory_max: usize) -> Self {
        Self { events: VecDeque::new(), memory: 0, memory_max, first, next: first }
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Appends the events of the changes before `next`; the oldest events leave for them.
    pub(super) fn append(&mut self, events: impl IntoIterator<Item = Event>, next: u64) {
        for event in events {
            debug_assert!(event.sequence >= self.next && event.sequence < next, "numbers rise");
            self.memory += event.memory();
            self.events.push_back(event);
        }
        self.next = next;
        while self.memory > self.memory_max {
            let oldest = self.events.pop_front().expect("an empty log has no memory");
            self.memory -= oldest.memory();
            self.first = oldest.sequence + 1;
        }
    }

    /// Begins anew with the change of this number: those before were missed.
    pub(super) fn restart(&mut self, next: u64) {
        *self = Self::starting_at(next, self.memory_max);
    }

    /// At most `max` events from number `from` on, and the number to read on from. A reader may be ahead of
    /// the log: it gets nothing yet.
    pub(super) fn read(&self, from: u64, max: usize) -> Result<(Vec<Event>, u64), Missed> {
        if from < self.first {
            return Err(Missed);
        }
        let skipped = self.events.partition_point(|event| event.sequence < from);
        let found: Vec<_> = self.events.range(skipped..).take(max).cloned().collect();
        let is_rest = skipped + found.len() == self.events.len();
        let next = match found.last() {
            Some(last) if !is_rest => last.sequence + 1,
            _ => self.next.max(from),
        };
        Ok((found, next))
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::{BucketName, ByteSize, Key};

    use super::*;
    use crate::events::EventKind;

    fn event(sequence: u64) -> Event {
        Event {
            sequence,
            kind: EventKind::Sealed,
            bucket: BucketName::new("b").unwrap(),
            key: Key::new("k").unwrap(),
            len: ByteSize::ZERO,
            generation: sequence,
        }
    }

    fn numbers(read: Result<(Vec<Event>, u64), Missed>) -> Result<(Vec<u64>, u64), Missed> {
        read.map(|(events, next)| (events.iter().map(|event| event.sequence).collect(), next))
    }

    #[test]
    fn a_reader_goes_on_behind_what_it_has_read_over_numbers_without_an_event() {
        let mut log = EventLog::starting_at(5, 1 << 20);
        log.append([event(6), event(9)], 12);
        assert_eq!(numbers(log.read(5, 1)), Ok((vec![6], 7)));
        assert_eq!(numbers(log.read(7, 1)), Ok((vec![9], 12)));
        assert_eq!(numbers(log.read(12, 1)), Ok((vec![], 12)));
        assert_eq!(numbers(log.read(4, 1)), Err(Missed));
        assert_eq!(numbers(log.read(13, 1)), Ok((vec![], 13)), "ahead of the log");
        log.restart(20);
        assert_eq!(numbers(log.read(12, 1)), Err(Missed));
        assert_eq!(numbers(log.read(20, 1)), Ok((vec![], 20)));
    }

    #[test]
    fn the_oldest_events_leave_a_log_that_is_full() {
        let one = event(1).memory();
        let mut log = EventLog::starting_at(1, 3 * one);
        log.append((1..=5).map(event), 6);
        assert_eq!(log.memory, 3 * one);
        assert_eq!(numbers(log.read(2, 9)), Err(Missed));
        assert_eq!(numbers(log.read(3, 9)), Ok((vec![3, 4, 5], 6)));
    }

    #[test]
    fn an_event_that_is_larger_than_the_log_is_missed() {
        let mut log = EventLog::starting_at(1, 1);
        log.append([event(1)], 2);
        assert_eq!(numbers(log.read(1, 9)), Err(Missed));
        assert_eq!(numbers(log.read(2, 9)), Ok((vec![], 2)));
    }
}
