//! The leases of one connection.

use std::time::Duration;

use hashbrown::HashMap;
use kvlease_api::lane::{DoneStatus, Ids};
use kvlease_sys::boot_time;
use kvlease_types::{Caller, Epoch, LeaseId, Timestamp};

use crate::context::Context;

/// How many leases are remembered before those that have ended are looked for.
const REMEMBERED_MIN: usize = 4_096;

/// The leases that a connection was granted and has not released, by sequence. Those whose
/// deadline passed are forgotten now and then, so that a client that releases nothing costs no
/// more than its leases do.
#[derive(Debug)]
pub(super) struct Leases {
    caller: Caller,
    epoch: Epoch,
    deadlines: HashMap<u64, Timestamp>,
    /// At how many the ended ones are looked for.
    forget_at: usize,
    /// The leases of a request that are the connection's; kept for its memory.
    named: Vec<LeaseId>,
    /// Their places in the request.
    places: Vec<usize>,
}

impl Leases {
    pub(super) fn new(caller: Caller, epoch: Epoch) -> Self {
        Self {
            caller,
            epoch,
            deadlines: HashMap::new(),
            forget_at: REMEMBERED_MIN,
            named: Vec::new(),
            places: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, sequence: u64, deadline: Timestamp) {
        if self.deadlines.len() >= self.forget_at {
            let now = boot_time();
            self.deadlines.retain(|_, deadline| *deadline > now);
            self.forget_at = REMEMBERED_MIN.max(2 * self.deadlines.len());
        }
        self.deadlines.insert(sequence, deadline);
    }

    /// Releases the leases that a request names, and appends their statuses.
    pub(super) fn release(
        &mut self,
        context: &Context,
        ids: Ids<'_>,
        statuses: &mut Vec<DoneStatus>,
    ) {
        self.find(ids, statuses, |deadlines, sequence| deadlines.remove(&sequence).is_some());
        let held = context.engine.release(&self.caller, &self.named);
        for (place, held) in self.places.iter().zip(&held) {
            statuses[*place] = DoneStatus::of_lease(held.is_some());
        }
        context.metrics.released(&held);
    }

    /// Extends the leases that a request names, and appends their statuses. Returns the time to
    /// live that was granted.
    pub(super) fn renew(
        &mut self,
        context: &Context,
        ids: Ids<'_>,
        ttl: Option<Duration>,
        statuses: &mut Vec<DoneStatus>,
    ) -> Duration {
        self.find(ids, statuses, |deadlines, sequence| deadlines.contains_key(&sequence));
        let renewed = context.engine.renew(&self.caller, &self.named, ttl);
        let deadline = boot_time().after(renewed.ttl);
        for ((place, id), live) in self.places.iter().zip(&self.named).zip(renewed.live) {
            statuses[*place] = DoneStatus::of_lease(live);
            match live {
                true => self.deadlines.insert(id.sequence, deadline),
                false => self.deadlines.remove(&id.sequence),
            };
        }
        renewed.ttl
    }

    /// Finds the leases of a request that are the connection's. All others are unknown to it.
    fn find(
        &mut self,
        ids: Ids<'_>,
        statuses: &mut Vec<DoneStatus>,
        is_known: impl Fn(&mut HashMap<u64, Timestamp>, u64) -> bool,
    ) {
        self.named.clear();
        self.places.clear();
        for (place, sequence) in ids.enumerate() {
            statuses.push(DoneStatus::Unknown);
            if is_known(&mut self.deadlines, sequence) {
                self.named.push(LeaseId { epoch: self.epoch, sequence });
                self.places.push(place);
            }
        }
    }

    /// Releases all leases: the client has gone.
    pub(super) fn release_all(&mut self, context: &Context) {
        let epoch = self.epoch;
        let ids = self.deadlines.drain().map(|(sequence, _)| LeaseId { epoch, sequence });
        let ids: Vec<_> = ids.collect();
        context.metrics.released(&context.engine.release(&self.caller, &ids));
    }

    /// Gives memory back that is not needed.
    pub(super) fn shrink(&mut self) {
        self.deadlines.shrink_to_fit();
        self.forget_at = REMEMBERED_MIN.max(2 * self.deadlines.len());
        self.named = Vec::new();
        self.places = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leases_that_ended_are_forgotten_and_live_ones_are_not() {
        let mut leases = Leases::new(Caller::DAEMON, Epoch::new(1));
        let (past, future) = (boot_time(), boot_time().after(Duration::from_secs(1000)));
        for sequence in 0..1_000_000 {
            let deadline = if sequence % 1_000 == 0 { future } else { past };
            leases.add(sequence, deadline);
        }
        assert!(leases.deadlines.len() <= 2 * REMEMBERED_MIN, "{}", leases.deadlines.len());
        let live = (0..1_000_000).step_by(1_000);
        assert!(live.into_iter().all(|sequence| leases.deadlines.contains_key(&sequence)));
    }
}
