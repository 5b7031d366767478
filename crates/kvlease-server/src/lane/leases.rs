//! The leases of one connection.

use hashbrown::HashMap;
use kvlease_engine::Engine;
use kvlease_sys::boot_time;
use kvlease_types::{Epoch, LeaseId, Timestamp};

/// How many leases are remembered before those that have ended are looked for.
const REMEMBERED_MIN: usize = 4_096;

/// The leases that a connection was granted and has not released, by sequence. Those whose
/// deadline passed are forgotten now and then, so that a client that releases nothing costs no
/// more than its leases do.
#[derive(Debug)]
pub(super) struct Leases {
    deadlines: HashMap<u64, Timestamp>,
    epoch: Epoch,
    /// At how many the ended ones are looked for.
    forget_at: usize,
}

impl Leases {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { deadlines: HashMap::new(), epoch, forget_at: REMEMBERED_MIN }
    }

    pub(super) fn add(&mut self, sequence: u64, deadline: Timestamp) {
        if self.deadlines.len() >= self.forget_at {
            let now = boot_time();
            self.deadlines.retain(|_, deadline| *deadline > now);
            self.forget_at = REMEMBERED_MIN.max(2 * self.deadlines.len());
        }
        self.deadlines.insert(sequence, deadline);
    }

    /// Whether the lease is the connection's; its name if it is.
    pub(super) fn find(&self, sequence: u64) -> Option<LeaseId> {
        let known = self.deadlines.contains_key(&sequence);
        known.then_some(LeaseId { epoch: self.epoch, sequence })
    }

    /// As [`Self::find`], and it is no longer the connection's.
    pub(super) fn take(&mut self, sequence: u64) -> Option<LeaseId> {
        let known = self.deadlines.remove(&sequence).is_some();
        known.then_some(LeaseId { epoch: self.epoch, sequence })
    }

    /// Releases all of them.
    pub(super) fn release(&mut self, engine: &Engine) {
        let epoch = self.epoch;
        let ids = self.deadlines.drain().map(|(sequence, _)| LeaseId { epoch, sequence });
        engine.release_many(ids, |_| {});
    }

    /// Gives memory back that is not needed.
    pub(super) fn shrink(&mut self) {
        self.deadlines.shrink_to_fit();
        self.forget_at = REMEMBERED_MIN.max(2 * self.deadlines.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leases_that_ended_are_forgotten_and_live_ones_are_not() {
        let mut leases = Leases::new(Epoch::new(1));
        let (past, future) = (boot_time(), boot_time().after(Duration::from_secs(1000)));
        for sequence in 0..1_000_000 {
            let deadline = if sequence % 1_000 == 0 { future } else { past };
            leases.add(sequence, deadline);
        }
        assert!(leases.deadlines.len() <= 2 * REMEMBERED_MIN, "{}", leases.deadlines.len());
        for sequence in (0..1_000_000).step_by(1_000) {
            assert!(leases.find(sequence).is_some(), "{sequence}");
            assert!(leases.take(sequence).is_some());
            assert!(leases.take(sequence).is_none());
        }
    }
}
