//! Scrubber: verifies the bytes of all objects, one after the other, at a bounded rate.
//!
//! Objects that were taken over from an earlier incarnation come first and faster, ahead of their
//! first lease. After that each round goes over all objects.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use kvlease_cache::ScrubCandidate;
use kvlease_types::ByteSize;

use crate::shared::Shared;

/// Lowest rate at which objects that were taken over are verified: a tenth of a core.
pub(crate) const RECOVERY_RATE: ByteSize = ByteSize::gib(1);

/// The shortest time from the start of one round to that of the next.
const ROUND_MIN: Duration = Duration::from_secs(60);

/// A pause shorter than this is put off.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Runs until its sender is dropped.
pub(crate) fn scrub(shared: &Shared, rate: ByteSize, stopped: &Receiver<()>) {
    let mut scrubber = Scrubber::new(shared, stopped);
    // Objects are taken over at the start only.
    let mut goes_on = scrubber.round(rate.max(RECOVERY_RATE), true);
    while goes_on {
        let started = Instant::now();
        goes_on = scrubber.round(rate, false)
            && scrubber.sleep(ROUND_MIN.saturating_sub(started.elapsed()));
    }
}

/// Reads of objects' bytes at a bounded rate.
pub(crate) struct Scrubber<'a> {
    shared: &'a Shared,
    stopped: &'a Receiver<()>,
    /// Time to be paused, not yet worth a pause.
    pause: Duration,
}

impl<'a> Scrubber<'a> {
    pub(crate) fn new(shared: &'a Shared, stopped: &'a Receiver<()>) -> Self {
        Self { shared, stopped, pause: Duration::ZERO }
    }

    /// Whether an object's bytes match its checksum; `None` if it must stop.
    pub(crate) fn inspect(&mut self, candidate: &ScrubCandidate, rate: ByteSize) -> Option<bool> {
        self.shared.inspect(candidate, |bytes| self.count(bytes, rate))
    }

    /// Verifies every object, or those that were not verified yet. Returns false if it must stop.
    fn round(&mut self, rate: ByteSize, unverified: bool) -> bool {
        let mut from = Some(0);
        while let Some(slot) = from {
            let (candidate, next) =
                self.shared.state().catalog.next_scrub_candidate(slot, unverified);
            from = next;
            let Some(candidate) = candidate else { continue };
            let Some(intact) = self.inspect(&candidate, rate) else { return false };
            self.shared.record_verification(
                candidate.slot,
                candidate.generation,
                intact,
                "by the scrubber",
            );
        }
        self.sleep(Duration::ZERO)
    }

    /// Counts bytes, and keeps to the rate. Returns false if it must stop.
    fn count(&mut self, bytes: u64, rate: ByteSize) -> bool {
        self.shared.counters.scrubbed.add(bytes);
        self.pause += Duration::from_secs_f64(bytes as f64 / rate.bytes() as f64);
        if self.pause < PAUSE_MIN {
            return true;
        }
        let pause = std::mem::take(&mut self.pause);
        self.sleep(pause)
    }

    /// Sleeps for `span`. Returns false at once if the thread must stop.
    fn sleep(&self, span: Duration) -> bool {
        self.stopped.recv_timeout(span) == Err(RecvTimeoutError::Timeout)
    }
}
