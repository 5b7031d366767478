//! Queue of clients' reports about corrupt objects.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use kvlease_cache::ScrubCandidate;
use kvlease_types::Caller;

use crate::room_signal::RoomSignal;

/// The most reports that wait. Those beyond are ignored: the scrubber looks at every object anyway.
const REPORTS_MAX: usize = 256;

/// Reports that wait to be looked into.
#[derive(Default, Debug)]
pub(crate) struct Reports {
    waiting: Mutex<VecDeque<Report>>,
    signal: RoomSignal,
}

/// Report about one object.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) caller: Caller,
    pub(crate) candidate: ScrubCandidate,
}

impl Reports {
    /// Appends a report; false if too many wait, or one about the same object does.
    pub(crate) fn push(&self, report: Report) -> bool {
        let mut waiting = self.lock();
        let object = |report: &Report| (report.candidate.slot, report.candidate.generation);
        let is_known = waiting.iter().any(|other| object(other) == object(&report));
        if is_known || waiting.len() == REPORTS_MAX {
            return false;
        }
        waiting.push_back(report);
        drop(waiting);
        self.wake();
        true
    }

    /// The oldest report.
    pub(crate) fn pop(&self) -> Option<Report> {
        self.lock().pop_front()
    }

    /// Waits until there may be reports, or the thread is woken.
    pub(crate) fn wait(&self) {
        self.signal.wait();
    }

    /// Wakes the thread that waits.
    pub(crate) fn wake(&self) {
        self.signal.request();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Report>> {
        self.waiting.lock().expect("a panic ends the process")
    }
}
