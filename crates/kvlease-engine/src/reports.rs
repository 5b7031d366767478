//! Reports of clients that an object's bytes did not match its checksum.
//!
//! A client may be wrong: it may have mapped another daemon's segment. So nothing is removed on its
//! word. A thread looks at the bytes as the scrubber does, at the scrubber's least rate, and removes
//! what it finds corrupt itself.

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use kvlease_types::Caller;

use crate::{
    clock::now,
    log_limit::LogLimit,
    report_queue::Report,
    scrub::{RECOVERY_RATE, Scrubber},
    shared::Shared,
};

/// Time between two lines on reports of intact objects; the ones between are counted.
const UNFOUNDED_LOG_PAUSE: Duration = Duration::from_secs(10);

impl Shared {
    /// See [`Engine::report`](crate::Engine::report).
    pub(crate) fn report(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &str,
        generation: Option<u64>,
    ) -> bool {
        let candidate = self.state().catalog.scrub_candidate(bucket, key, generation);
        let Some(candidate) = candidate else {
            self.counters.reports_ignored.increment();
            return false;
        };
        let (bucket, key, caller) = (bucket.to_owned(), key.to_owned(), *caller);
        if !self.reports.push(Report { bucket, key, caller, candidate }) {
            self.counters.reports_ignored.increment();
        }
        true
    }
}

/// Looks into reports until it is stopped, which must be followed by [`Reports::wake`](crate::report_queue::Reports::wake).
pub(crate) fn look_into_reports(shared: &Shared, stopped: &Receiver<()>) {
    let unfounded = LogLimit::new(UNFOUNDED_LOG_PAUSE);
    loop {
        shared.reports.wait();
        if stopped.try_recv() != Err(TryRecvError::Empty) {
            return;
        }
        let mut scrubber = Scrubber::new(shared, stopped);
        while let Some(report) = shared.reports.pop() {
            let candidate = &report.candidate;
            let Some(intact) = scrubber.inspect(candidate, RECOVERY_RATE) else { return };
            let (slot, generation) = (candidate.slot, candidate.generation);
            shared.record_verification(slot, generation, intact, "after a client's report");
            if intact {
                shared.counters.reports_unfounded.increment();
                log_unfounded(&unfounded, &report);
            } else {
                shared.counters.reports_confirmed.increment();
            }
        }
    }
}

/// Logs that a report was unfounded, if a line is due.
fn log_unfounded(limit: &LogLimit, report: &Report) {
    if let Some(reports) = limit.count(1, now()) {
        tracing::warn!(
            bucket = report.bucket,
            key = report.key,
            caller = %report.caller,
            reports,
            "a client found an object corrupt that is intact: check that the client's \
             shared_memory_name is this daemon's, and its memory"
        );
    }
}
