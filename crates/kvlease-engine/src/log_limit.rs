//! Limit of log lines that clients can cause.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Relaxed},
    },
    time::Duration,
};

use kvlease_types::Timestamp;

/// Time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Limit of one kind of line: one in [`PAUSE`], which says how many events it stands for.
#[derive(Default, Debug)]
pub(crate) struct LogLimit {
    /// Nanoseconds of the time from which the next line may be written.
    next: AtomicU64,
    /// Events since the last line.
    events: AtomicU64,
}

impl LogLimit {
    /// Counts events. Returns how many there were since the last line if a line is due now.
    pub(crate) fn count(&self, events: u64, now: Timestamp) -> Option<u64> {
        self.events.fetch_add(events, Relaxed);
        let next = self.next.load(Relaxed);
        let due = now.nanos() >= next;
        let after = now.after(PAUSE).nanos();
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
        let limit = LogLimit::default();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        assert_eq!(limit.count(2, at(1)), Some(2));
        assert_eq!(limit.count(3, at(2)), None);
        assert_eq!(limit.count(4, at(10)), None);
        assert_eq!(limit.count(1, at(11)), Some(8));
        assert_eq!(limit.count(1, at(12)), None);
    }
}
