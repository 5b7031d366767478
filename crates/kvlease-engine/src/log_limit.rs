//! Limit of log lines that clients can cause.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Relaxed},
    },
    time::Duration,
};

use kvlease_types::Timestamp;

/// Limit of one kind of line: one in a pause, which says how many events it stands for.
#[derive(Debug)]
pub struct LogLimit {
    /// Time between two lines.
    pause: Duration,
    /// Nanoseconds of the time from which the next line may be written.
    next: AtomicU64,
    /// Events since the last line.
    events: AtomicU64,
}

impl LogLimit {
    /// Limit whose first line is due at once, and each other a pause after the one before.
    pub const fn new(pause: Duration) -> Self {
        Self { pause, next: AtomicU64::new(0), events: AtomicU64::new(0) }
    }

    /// Time between two lines.
    pub const fn pause(&self) -> Duration {
        self.pause
    }

    /// Counts events. Returns how many there were since the last line if a line is due now.
    pub fn count(&self, events: u64, now: Timestamp) -> Option<u64> {
        self.events.fetch_add(events, Relaxed);
        let next = self.next.load(Relaxed);
        let due = now.nanos() >= next;
        let after = now.after(self.pause).nanos();
        // Of several threads, one writes the line.
        let ours = due && self.next.compare_exchange(next, after, AcqRel, Relaxed).is_ok();
        ours.then(|| self.events.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_all_events_since_the_last() {
        let limit = LogLimit::new(Duration::from_secs(10));
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        assert_eq!(limit.count(2, at(1)), Some(2));
        assert_eq!(limit.count(3, at(2)), None);
        assert_eq!(limit.count(4, at(10)), None);
        assert_eq!(limit.count(1, at(11)), Some(8));
        assert_eq!(limit.count(1, at(12)), None);
    }
}
