//! What the engine counts by itself; the catalog counts the rest.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Totals since the start of the daemon.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    relinks: AtomicU64,
    link_failures: AtomicU64,
    corrupt_objects: AtomicU64,
    scrubbed: AtomicU64,
    unrecorded: AtomicU64,
    waits: AtomicU64,
    wait_nanos: AtomicU64,
}

/// A copy of the engine's counters.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CountersSnapshot {
    /// How often the segment's public name was put back.
    pub relinks: u64,
    /// How often that failed.
    pub link_failures: u64,
    /// Objects removed since their bytes did not match their checksum.
    pub corrupt_objects: u64,
    /// Bytes that the scrubber looked at.
    pub scrubbed: u64,
    /// Objects that were stored and will not be known after a restart: there was no memory to
    /// record them.
    pub unrecorded: u64,
    /// Leases that waited for a writer.
    pub waits: u64,
    /// The time they waited, in total.
    pub waited: Duration,
}

impl Counters {
    pub(crate) fn relinked(&self) {
        self.relinks.fetch_add(1, Relaxed);
    }

    pub(crate) fn link_failed(&self) {
        self.link_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn found_corrupt(&self) {
        self.corrupt_objects.fetch_add(1, Relaxed);
    }

    pub(crate) fn scrubbed(&self, bytes: u64) {
        self.scrubbed.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn left_unrecorded(&self) {
        self.unrecorded.fetch_add(1, Relaxed);
    }

    pub(crate) fn waited(&self, span: Duration) {
        self.waits.fetch_add(1, Relaxed);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.wait_nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            relinks: self.relinks.load(Relaxed),
            link_failures: self.link_failures.load(Relaxed),
            corrupt_objects: self.corrupt_objects.load(Relaxed),
            scrubbed: self.scrubbed.load(Relaxed),
            unrecorded: self.unrecorded.load(Relaxed),
            waits: self.waits.load(Relaxed),
            waited: Duration::from_nanos(self.wait_nanos.load(Relaxed)),
        }
    }
}
