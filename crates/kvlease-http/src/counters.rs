//! Counters of a client.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Counters of a client since it was made. Each number is exact; read together they may be of
/// slightly different moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Calls that the daemon answered, refusals and misses included.
    pub calls_answered: u64,
    /// Calls without a connection, encrypted where it had to be.
    pub calls_unreachable: u64,
    /// Calls whose connection broke.
    pub calls_broken: u64,
    /// Calls that the daemon did not answer in time.
    pub calls_timed_out: u64,
    /// Calls whose answer was not of the protocol.
    pub calls_malformed: u64,
    /// Calls that failed at once, since the daemon had not been reachable.
    pub calls_not_tried: u64,
    /// Calls that waited for a connection of the pool until their time was over.
    pub calls_without_permit: u64,
    /// Calls that were sent once more on another connection. They are in the numbers above once.
    pub calls_repeated: u64,
    /// Leases that were granted.
    pub leases_acquired: u64,
    /// Leases that the daemon confirmed to have ended.
    pub leases_released: u64,
    /// Leases whose release failed for good: they end by their time to live.
    pub leases_left: u64,
}

/// The numbers while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    calls_answered: AtomicU64,
    calls_unreachable: AtomicU64,
    calls_broken: AtomicU64,
    calls_timed_out: AtomicU64,
    calls_malformed: AtomicU64,
    calls_not_tried: AtomicU64,
    calls_without_permit: AtomicU64,
    pub(crate) calls_repeated: AtomicU64,
    pub(crate) leases_acquired: AtomicU64,
    pub(crate) leases_released: AtomicU64,
    pub(crate) leases_left: AtomicU64,
}

impl Counting {
    /// Counts how a call ended.
    pub(crate) fn count_call<T>(&self, outcome: &Result<T, Error>) {
        let counter = match outcome {
            Ok(_) | Err(Error::Refused { .. } | Error::Denied { .. }) => &self.calls_answered,
            Err(
                Error::Unreachable { .. }
                | Error::Tls { .. }
                | Error::TlsCaFile { .. }
                | Error::TlsIdentity { .. },
            ) => &self.calls_unreachable,
            Err(Error::Broken { .. }) => &self.calls_broken,
            Err(Error::TimedOut { .. }) => &self.calls_timed_out,
            Err(Error::Protocol { .. }) => &self.calls_malformed,
            Err(Error::CircuitOpen { .. }) => &self.calls_not_tried,
            Err(Error::PoolTimeout { .. }) => &self.calls_without_permit,
            // The caller's own doing: its source of bytes failed.
            Err(_) => return,
        };
        add_one(counter);
    }

    /// Counts how a release ended.
    pub(crate) fn count_release(&self, is_released: bool) {
        add_one(if is_released { &self.leases_released } else { &self.leases_left });
    }

    /// The numbers now.
    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            calls_answered: read(&self.calls_answered),
            calls_unreachable: read(&self.calls_unreachable),
            calls_broken: read(&self.calls_broken),
            calls_timed_out: read(&self.calls_timed_out),
            calls_malformed: read(&self.calls_malformed),
            calls_not_tried: read(&self.calls_not_tried),
            calls_without_permit: read(&self.calls_without_permit),
            calls_repeated: read(&self.calls_repeated),
            leases_acquired: read(&self.leases_acquired),
            leases_released: read(&self.leases_released),
            leases_left: read(&self.leases_left),
        }
    }
}

/// Counts one.
pub(crate) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
