//! A writer: removes what is there, or leaves it to eviction, and stores the next version.

use std::time::Duration;

use kvlease_client::{Error, ErrorCode, PutBody, PutOutcome};
use tokio::{
    io::{AsyncWriteExt, duplex},
    time::sleep,
};

use super::{
    client::Session,
    ledger::{Activity, Count},
    versions::Known,
};

/// How often an object is removed before the next version is stored, in percent; otherwise it has
/// to have been evicted.
const REMOVE_PERCENT: u64 = 50;

/// How often a body is chunked, in percent.
pub(crate) const CHUNKED_PERCENT: u64 = 30;

/// How often a body pauses in the middle, in percent, and for how long: readers wait for it then,
/// and kills hit it.
pub(crate) const SLOW_PERCENT: u64 = 15;
pub(crate) const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// How much of a body is on its way to the connection at a time.
const PIPE_LEN: usize = 64 << 10;

/// How long a writer waits when there is no space: all of it is leased.
pub(super) const SPACE_PAUSE: Duration = Duration::from_millis(5);

/// The one writer of every key whose number is `place` modulo `writers`.
pub(super) struct Writer {
    pub(super) session: Session,
    place: usize,
    writers: usize,
}

impl Writer {
    pub(super) fn new(session: Session, place: usize, writers: usize) -> Self {
        Self { session, place, writers }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let keys = self.session.workload.keys();
        for index in (self.place..keys).step_by(self.writers) {
            let mut known = self.session.versions.get(index)?;
            if known.open != 0 {
                known.doubt();
                self.session.versions.set(index, known)?;
            }
        }
        let lane = self.session.lane.clone();
        loop {
            let index = self.any_own();
            let mut known = self.session.versions.get(index)?;
            if self.session.random.percent(REMOVE_PERCENT) {
                self.remove(index, &mut known).await?;
            }
            match &lane {
                Some(lane) => self.store_over_lane(lane, index).await?,
                None => self.store(index, &mut known).await?,
            }
        }
    }

    /// One of the keys that are this writer's.
    pub(super) fn any_own(&mut self) -> usize {
        let keys = self.session.workload.keys();
        let own = keys.saturating_sub(self.place).div_ceil(self.writers) as u64;
        self.place + self.session.random.below(own) as usize * self.writers
    }

    async fn remove(&mut self, index: usize, known: &mut Known) -> anyhow::Result<()> {
        if let Some(lane) = self.session.lane.clone() {
            return self.remove_over_lane(&lane, index, known).await;
        }
        let session = &mut self.session;
        let count = match session.client.remove(&session.key(index)).await {
            Ok(true) => Count::Removed,
            Ok(false) => Count::RemovedAbsent,
            Err(Error::Refused { code: Some(ErrorCode::Exists), .. }) => {
                session.ledger.add(Count::Busy, 1);
                return Ok(());
            }
            Err(error) => {
                session.failed("a removal", &error);
                return Ok(());
            }
        };
        session.ledger.add(count, 1);
        known.gone();
        Ok(session.versions.set(index, *known)?)
    }

    async fn store(&mut self, index: usize, known: &mut Known) -> anyhow::Result<()> {
        let session = &mut self.session;
        let version = known.begin();
        session.versions.set(index, *known)?;
        let bytes = session.workload.payload(index, version).bytes();
        let len = bytes.len() as u64;
        let chunked = session.random.percent(CHUNKED_PERCENT);
        let pause = if session.random.percent(SLOW_PERCENT) { SLOW_PAUSE } else { Duration::ZERO };
        let body = body(bytes, chunked, pause);
        session.ledger.begin(Activity::Put)?;
        let outcome = session.client.put(&session.key(index), body).await;
        match outcome {
            Ok(PutOutcome::Stored) => {
                known.stored();
                let kind = if chunked { Count::StoredChunked } else { Count::Stored };
                session.ledger.add(kind, 1);
                session.ledger.add(Count::BytesStored, len);
            }
            Ok(PutOutcome::Exists) => {
                known.refused();
                session.ledger.add(Count::Exists, 1);
            }
            Err(Error::Refused { code: Some(ErrorCode::NoSpace), .. }) => {
                known.refused();
                session.ledger.add(Count::NoSpace, 1);
                sleep(SPACE_PAUSE).await;
            }
            Err(error) => {
                known.doubt();
                session.failed("an upload", &error);
            }
        }
        session.ledger.end()?;
        Ok(session.versions.set(index, *known)?)
    }
}

/// A body, chunked or with its length, that pauses in the middle.
pub(crate) fn body(bytes: Vec<u8>, chunked: bool, pause: Duration) -> PutBody {
    if !chunked && pause.is_zero() {
        return PutBody::from(bytes);
    }
    let len = (!chunked).then_some(bytes.len() as u64);
    let (mut source, sink) = duplex(PIPE_LEN);
    tokio::spawn(async move {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        // It fails only if nobody wants the rest: the upload was refused.
        let _ = source.write_all(first).await;
        sleep(pause).await;
        let _ = source.write_all(second).await;
    });
    PutBody::reader(sink, len)
}
