//! Reports of clients that an object's bytes did not match its checksum.
//!
//! A client may be wrong: it may have mapped another daemon's segment. So nothing is removed on its
//! word. A thread looks at the bytes as the scrubber does, at the scrubber's least rate, and removes
//! what it finds corrupt itself.

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant},
};

use kvlease_types::Caller;

use crate::{
    report_queue::Report,
    scrub::{RECOVERY_RATE, Scrubber},
    shared::Shared,
};

/// How often reports of intact objects are logged; the ones between are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Log of reports about intact objects.
#[derive(Default)]
struct Unfounded {
    logged: Option<Instant>,
    since: u64,
}

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
    let mut unfounded = Unfounded::default();
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
                unfounded.log(&report);
            } else {
                shared.counters.reports_confirmed.increment();
            }
        }
    }
}

impl Unfounded {
    fn log(&mut self, report: &Report) {
        self.since += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_INTERVAL) {
            return;
        }
        tracing::warn!(
            bucket = report.bucket,
            key = report.key,
            caller = %report.caller,
            reports = self.since,
            "a client found an object corrupt that is intact: check that the client's \
             shared_memory_name is this daemon's, and its memory"
        );
        (self.logged, self.since) = (Some(Instant::now()), 0);
    }
}
