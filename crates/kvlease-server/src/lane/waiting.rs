//! Acquires that wait until objects are sealed or given up.
//!
//! Each has a task of its own, so that later frames of its connection are not held up. It leases
//! on behalf of the connection; until the connection has taken the answer, those leases are the
//! task's, and end with it.

use std::{iter, sync::Arc, time::Instant};

use kvlease_api::lane::{Acquire, Frame, Kind, LeaseStatus, LeasesWriter, Mode, Request};
use kvlease_engine::{Engine, Leased};
use kvlease_types::{LeaseId, Timestamp};
use tokio::{sync::watch, time::timeout_at};

use super::{
    Lane,
    acquire::{Tally, Wait, grant, refusal},
    leases::Leases,
};

/// The answer to an acquire that has waited.
pub(super) struct Waited {
    pub(super) frame: Vec<u8>,
    leases: Undelivered,
    tally: Tally,
    started: Instant,
}

/// Leases that no client knows of yet. Dropping them releases them.
struct Undelivered {
    engine: Arc<Engine>,
    leases: Vec<(LeaseId, Timestamp)>,
}

impl Waited {
    /// Gives the leases to the connection, which sends the frame.
    pub(super) fn deliver(mut self, lane: &Lane, to: &mut Leases) -> Vec<u8> {
        for (id, deadline) in self.leases.leases.drain(..) {
            to.add(id.sequence, deadline);
        }
        lane.metrics.lane.items(Kind::Acquire, &self.tally.0);
        lane.metrics.lane.answered(Some(Kind::Acquire), None, self.started.elapsed());
        self.frame
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        let ids = self.leases.drain(..).map(|(id, _)| id);
        self.engine.release_many(ids, |_| {});
    }
}

/// Waits as long as the client does, and leases what has been sealed meanwhile.
pub(super) async fn wait(lane: Arc<Lane>, wait: Wait) -> Waited {
    let Wait { payload, answer, tally, writing, ttl, started } = wait;
    let kind = Kind::Acquire.number();
    let frame = Frame { kind, flags: 0, request: 0, payload: &payload };
    let Ok(Request::Acquire(acquire)) = Request::decode(&frame) else {
        unreachable!("the frame was an acquire when it came")
    };
    let limit = acquire.wait.min(lane.config.lease_wait_max);
    let leases = Undelivered { engine: Arc::clone(&lane.engine), leases: Vec::new() };
    let mut turn = Turn { engine: &lane.engine, acquire, answer, tally, leases };
    let deadline = tokio::time::Instant::from_std(started + limit);
    match turn.acquire.mode {
        Mode::Each => turn.each(writing, deadline).await,
        Mode::Prefix => turn.prefix(writing, deadline).await,
    }
    lane.engine.count_wait(started.elapsed());
    let Turn { answer, tally, leases, .. } = turn;
    Waited { frame: answer.finish(ttl), leases, tally, started }
}

/// An acquire while it waits.
struct Turn<'a> {
    engine: &'a Engine,
    acquire: Acquire<'a>,
    answer: LeasesWriter,
    tally: Tally,
    leases: Undelivered,
}

/// Which key is waited for, and what wakes when its writer ends.
type Writing = (usize, watch::Receiver<()>);

impl Turn<'_> {
    /// Waits for each of the keys.
    async fn each(&mut self, writing: Vec<Writing>, deadline: tokio::time::Instant) {
        let mut keys = self.acquire.keys.clone().enumerate();
        for (index, mut end) in writing {
            let (_, key) = keys.find(|(at, _)| *at == index).expect("the key was in the frame");
            loop {
                if timeout_at(deadline, end.changed()).await.is_err() {
                    self.tally.add(LeaseStatus::StillWriting);
                    break;
                }
                match self.lease(index, iter::once(key)) {
                    Some((_, again)) => end = again,
                    None => break,
                }
            }
        }
    }

    /// Waits for the last of the records, and goes on behind it.
    async fn prefix(&mut self, mut writing: Vec<Writing>, deadline: tokio::time::Instant) {
        while let Some((index, mut end)) = writing.pop() {
            if timeout_at(deadline, end.changed()).await.is_err() {
                return self.tally.add(LeaseStatus::StillWriting);
            }
            let keys = self.acquire.keys.clone().skip(index);
            writing.extend(self.lease(index, keys));
        }
    }

    /// Leases keys whose records begin at `index`, up to the first that cannot be leased. Returns
    /// the one that is being written, if that is why.
    fn lease<'k>(&mut self, index: usize, keys: impl Iterator<Item = &'k str>) -> Option<Writing> {
        let Self { engine, acquire, answer, tally, leases } = self;
        let mut writing = None;
        let mut index = index;
        engine.lease_many(acquire.bucket, keys, acquire.ttl, true, |leased| {
            if index == answer.count() {
                answer.refused(LeaseStatus::StillWriting);
            }
            match leased {
                Leased::Granted(granted) => {
                    let lease = granted.lease();
                    leases.leases.push((lease.id, lease.deadline));
                    answer.grant_later(index, &grant(lease), &lease.extents);
                    tally.add(LeaseStatus::Granted);
                }
                Leased::Writing(end) => writing = Some((index, end)),
                other => {
                    answer.refuse_later(index, refusal(&other));
                    tally.add(refusal(&other));
                }
            }
            index += 1;
        });
        writing
    }
}
