//! Writer: removes an object or leaves it to eviction, and stores the next version.

use std::{io, time::Duration};

use kvlease_harness::oracle::KeyState;
use tokio::time::sleep;

use super::{progress::Activity, session::Session};
use crate::{
    clients::{Removal, Way},
    counts::Count,
    stores::{self, BATCH_MAX, CHUNKED_PERCENT, Filling, Outcome, SLOW_PERCENT, Then},
};

/// Share of stores with a removal before, in percent; otherwise the object has to be evicted.
const REMOVE_PERCENT: u64 = 50;

/// Share of filled reservations that are given up, in percent.
const GIVE_UP_PERCENT: u64 = 10;

/// Pause in the middle of a slow store.
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// Pause of a writer when there is no space: all of it is leased.
const SPACE_PAUSE: Duration = Duration::from_millis(5);

/// The one writer of every key whose index is `place` modulo `writers`.
pub(super) struct Writer {
    session: Session,
    place: usize,
    writers: usize,
}

impl Writer {
    pub(super) fn new(session: Session, place: usize, writers: usize) -> Self {
        Self { session, place, writers }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        // The writer before this one may have been killed in the middle of a store.
        for index in (self.place..self.session.workload.keys()).step_by(self.writers) {
            if self.session.oracle.get(index)?.is_storing() {
                self.session.oracle.update(index, KeyState::doubt)?;
            }
        }
        loop {
            let index = self.any_own();
            if self.session.draws.percent(REMOVE_PERCENT) {
                self.remove(index).await?;
            }
            let no_space = match self.session.way {
                Way::Http => self.store(index).await?,
                Way::Lane => self.store_batch(index).await?,
            };
            if no_space {
                sleep(SPACE_PAUSE).await;
            }
        }
    }

    /// One of this writer's keys.
    fn any_own(&mut self) -> usize {
        let keys = self.session.workload.keys();
        let own = keys.saturating_sub(self.place).div_ceil(self.writers) as u64;
        self.place + self.session.draws.below(own) as usize * self.writers
    }

    async fn remove(&mut self, index: usize) -> anyhow::Result<()> {
        let session = &mut self.session;
        let count = match session.clients.remove(session.way, &session.key(index)).await {
            Ok(Removal::Removed) => Count::Removed,
            Ok(Removal::Absent) => Count::RemovedAbsent,
            Ok(Removal::Busy) => {
                session.progress.add(Count::Busy, 1);
                return Ok(());
            }
            Err(error) => {
                session.failed("a removal", &error);
                return Ok(());
            }
        };
        session.progress.add(count, 1);
        Ok(session.oracle.update(index, KeyState::gone)?)
    }

    /// Stores the next version over HTTP. Returns whether there was no space.
    async fn store(&mut self, index: usize) -> anyhow::Result<bool> {
        let (key, pause) = (self.session.key(index), self.any_pause());
        let session = &mut self.session;
        let version = session.oracle.update(index, KeyState::begin)?;
        let bytes = session.workload.payload(index, version).bytes();
        let (len, chunked) = (bytes.len(), session.draws.percent(CHUNKED_PERCENT));
        session.progress.begin(Activity::Put)?;
        let stored = stores::over_http(&session.clients, &key, bytes, chunked, pause).await;
        match &stored {
            Ok(outcome) => {
                let kind = if chunked { Count::StoredChunked } else { Count::Stored };
                self.note(index, len, *outcome, kind)?;
            }
            Err(error) => {
                session.oracle.update(index, KeyState::doubt)?;
                session.failed("an upload", error);
            }
        }
        self.session.progress.end()?;
        Ok(matches!(stored, Ok(Outcome::NoSpace)))
    }

    /// Stores the next versions of this key and of some others over the fast lane. Returns whether
    /// there was no space.
    async fn store_batch(&mut self, index: usize) -> anyhow::Result<bool> {
        let mut indices = vec![index];
        for _ in 0..self.session.draws.below(BATCH_MAX) {
            indices.push(self.any_own());
        }
        indices.sort_unstable();
        indices.dedup();
        let mut objects = Vec::with_capacity(indices.len());
        for index in &indices {
            objects.push(self.filling(*index)?);
        }
        self.session.progress.begin(Activity::Put)?;
        let stored = stores::over_lane(self.session.clients.lane()?, &objects).await;
        let outcomes = stored.map(|answers| answers.outcomes).unwrap_or_else(|error| {
            self.session.failed("a store over the fast lane", &error);
            Vec::new()
        });
        for (position, (index, object)) in indices.iter().zip(&objects).enumerate() {
            match outcomes.get(position) {
                Some(outcome) => {
                    self.note(*index, object.bytes.len(), *outcome, Count::StoredLane)?;
                }
                // Without an answer it may be there, or come late.
                None => self.session.oracle.update(*index, KeyState::doubt)?,
            }
        }
        self.session.progress.end()?;
        Ok(outcomes.contains(&Outcome::NoSpace))
    }

    /// Begins the next version of a key.
    fn filling(&mut self, index: usize) -> io::Result<Filling> {
        let (key, pause) = (self.session.key(index), self.any_pause());
        let session = &mut self.session;
        let give_up = session.draws.percent(GIVE_UP_PERCENT);
        let version = session.oracle.update(index, KeyState::begin)?;
        let bytes = session.workload.payload(index, version).bytes();
        Ok(Filling { key, bytes, pause, then: if give_up { Then::GiveUp } else { Then::Commit } })
    }

    /// Notes the answer to a store in the oracle and in the progress file.
    fn note(
        &mut self,
        index: usize,
        len: usize,
        outcome: Outcome,
        stored: Count,
    ) -> io::Result<()> {
        let session = &mut self.session;
        if outcome == Outcome::Stored {
            session.progress.add(Count::BytesStored, len as u64);
        }
        session.progress.add(outcome.count(stored), 1);
        session.oracle.update(index, |state| outcome.apply(state)).map(drop)
    }

    /// Pause in the middle of a store: kills hit it then, and readers wait for it.
    fn any_pause(&mut self) -> Duration {
        if self.session.draws.percent(SLOW_PERCENT) { SLOW_PAUSE } else { Duration::ZERO }
    }
}
