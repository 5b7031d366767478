//! Stores and removals of a client.

use std::{thread::sleep, time::Duration};

use kvlease_harness::oracle::KeyState;

use super::{client::Client, common::Common};
use crate::{
    clients::{Clients, Removal, Way},
    counts::Count,
    stores::{self, BATCH_MAX, CHUNKED_PERCENT, Filling, Outcome, SLOW_PERCENT, Then},
};

/// Share of stores with a removal before, in percent; otherwise the object that is there stays,
/// unless it is evicted.
const REMOVE_PERCENT: u64 = 60;

/// Share of stores and removals over the fast lane, in percent.
const LANE_PERCENT: u64 = 50;

/// Pause in the middle of a slow store.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// Share of reservations that are given up, and that are neither given up nor committed, in
/// percent.
const GIVE_UP_PERCENT: u64 = 8;
const STRAY_PERCENT: u64 = 5;

/// Pause of a client when there is no space.
const SPACE_PAUSE: Duration = Duration::from_millis(2);

impl Client<'_> {
    /// Stores one object, or several together.
    pub(super) async fn store(&mut self, clients: &Clients) -> anyhow::Result<()> {
        let index = self.any_own();
        if self.draws.percent(REMOVE_PERCENT) {
            self.remove(clients, index).await?;
        }
        match self.any_way() {
            Way::Lane => self.store_batch(clients, index).await,
            Way::Http => self.store_one(clients, index).await,
        }
    }

    /// Removes the object of this key.
    pub(super) async fn remove(&mut self, clients: &Clients, index: usize) -> anyhow::Result<()> {
        let Common { objects, oracle, counts, .. } = self.common;
        oracle.update(index, KeyState::remove);
        let removed = clients.remove(self.any_way(), objects.key(index)).await?;
        oracle.update(index, KeyState::gone);
        counts.add(
            match removed {
                Removal::Removed => Count::Removed,
                // A pending object can only be a reservation that this client keeps.
                Removal::Absent | Removal::Busy => Count::RemovedAbsent,
            },
            1,
        );
        Ok(())
    }

    /// One of this client's keys.
    pub(super) fn any_own(&mut self) -> usize {
        let Common { objects, clients, .. } = self.common;
        let own = (objects.count() - self.number).div_ceil(*clients);
        self.number + self.draws.index(own) * clients
    }

    async fn store_one(&mut self, clients: &Clients, index: usize) -> anyhow::Result<()> {
        let Common { objects, oracle, .. } = self.common;
        let version = oracle.update(index, KeyState::begin);
        let bytes = objects.payload(index, version).bytes();
        let (len, chunked) = (bytes.len(), self.draws.percent(CHUNKED_PERCENT));
        let (key, pause) = (objects.key(index), self.any_pause());
        let outcome = stores::over_http(clients, key, bytes, chunked, pause).await?;
        self.note(index, len, outcome, if chunked { Count::StoredChunked } else { Count::Stored });
        if outcome == Outcome::NoSpace {
            sleep(SPACE_PAUSE);
        }
        Ok(())
    }

    /// Stores an object, and others together with it.
    async fn store_batch(&mut self, clients: &Clients, index: usize) -> anyhow::Result<()> {
        let mut indices = vec![index];
        indices.extend((0..self.draws.below(BATCH_MAX)).map(|_| self.any_own()));
        indices.sort_unstable();
        indices.dedup();
        let mut objects: Vec<_> = indices.iter().map(|index| self.filling(*index)).collect();
        let answers = stores::over_lane(clients.lane()?, &objects).await?;
        for (position, outcome) in answers.outcomes.into_iter().enumerate() {
            let len = objects[position].bytes.len();
            self.note(indices[position], len, outcome, Count::StoredLane);
        }
        for (position, reservation) in answers.kept {
            self.strays.push((reservation, std::mem::take(&mut objects[position].bytes)));
        }
        Ok(())
    }

    /// Begins the next version of a key.
    fn filling(&mut self, index: usize) -> Filling {
        let Common { objects, oracle, roomy, .. } = self.common;
        let then = match self.draws.below(100) {
            dice if dice < STRAY_PERCENT && *roomy => Then::Keep,
            dice if dice < STRAY_PERCENT + GIVE_UP_PERCENT => Then::GiveUp,
            _ => Then::Commit,
        };
        let version = oracle.update(index, KeyState::begin);
        let bytes = objects.payload(index, version).bytes();
        Filling { key: objects.key(index).clone(), bytes, pause: self.any_pause(), then }
    }

    /// Notes the answer to a store. A client that stores over a promised object has found a loss.
    fn note(&self, index: usize, len: usize, outcome: Outcome, stored: Count) {
        let Common { oracle, counts, roomy, .. } = self.common;
        counts.add(outcome.count(stored), 1);
        if outcome == Outcome::Stored {
            counts.add(Count::BytesStored, len as u64);
        }
        if oracle.update(index, |state| outcome.apply(state)) && *roomy {
            self.common.fault(index, "lost", "a store where there should have been an object");
        }
    }

    fn any_way(&mut self) -> Way {
        if self.draws.percent(LANE_PERCENT) { Way::Lane } else { Way::Http }
    }

    /// Pause in the middle of a store: kills hit it then.
    fn any_pause(&mut self) -> Duration {
        if self.draws.percent(SLOW_PERCENT) { SLOW_PAUSE } else { Duration::ZERO }
    }
}
