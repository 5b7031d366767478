//! How a client stores and removes objects.

use std::time::Duration;

use anyhow::bail;
use kvlease_api::lane::ReserveStatus;
use kvlease_client::{ByteSize, Error, ErrorCode, PutOutcome, lane::LanePut};

use super::{
    client::Client,
    common::Common,
    session::{CALL_WITHIN, Session},
};
use crate::soak::{
    Count,
    filler::fill,
    writer::{CHUNKED_PERCENT, SLOW_PERCENT, body},
};

/// How often a store is preceded by a removal, in percent; otherwise the object that is there
/// stays, unless it is evicted.
const REMOVE_PERCENT: u64 = 60;

/// How often a store goes over the fast lane, in percent, and how many objects are stored together
/// there at most.
const LANE_PERCENT: u64 = 50;
const BATCH_MAX: u64 = 4;

/// For how long a store pauses in the middle, if it does.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// How often a reservation is given up, and how often it is neither given up nor committed, in
/// percent.
const GIVE_UP_PERCENT: u64 = 8;
const STRAY_PERCENT: u64 = 5;

/// How long a client waits when there is no space.
const SPACE_PAUSE: Duration = Duration::from_millis(2);

impl Client<'_> {
    /// Stores one object, or several together.
    pub(super) async fn store(&mut self, session: &Session) -> anyhow::Result<()> {
        let index = self.any_own();
        if self.random.percent(REMOVE_PERCENT) {
            self.remove(session, index).await?;
        }
        match self.random.percent(LANE_PERCENT) {
            true => self.store_over_lane(session, index).await,
            false => self.store_over_http(session, index).await,
        }
    }

    /// Removes the object of this key.
    pub(super) async fn remove(&mut self, session: &Session, index: usize) -> anyhow::Result<()> {
        let Common { objects, book, counts, .. } = self.common;
        let key = objects.key(index);
        book.remove(index);
        let removed = if self.random.percent(LANE_PERCENT) {
            let removed = session.lane.remove(std::slice::from_ref(key), CALL_WITHIN).await?;
            removed == [true]
        } else {
            match session.http.remove(key).await {
                Ok(removed) => removed,
                // A reservation that this client keeps: there is nothing else.
                Err(Error::Refused { code: Some(ErrorCode::Exists), .. }) => false,
                Err(error) => return Err(error.into()),
            }
        };
        book.gone(index);
        counts.add(if removed { Count::Removed } else { Count::RemovedAbsent }, 1);
        Ok(())
    }

    /// One of the keys that are this client's.
    pub(super) fn any_own(&mut self) -> usize {
        let Common { objects, clients, .. } = self.common;
        let own = (objects.count() - self.number).div_ceil(*clients) as u64;
        self.number + self.random.below(own) as usize * clients
    }

    async fn store_over_http(&mut self, session: &Session, index: usize) -> anyhow::Result<()> {
        let Common { objects, book, counts, .. } = self.common;
        let version = book.begin(index);
        let bytes = objects.payload(index, version).bytes();
        let (len, chunked) = (bytes.len() as u64, self.random.percent(CHUNKED_PERCENT));
        let body = body(bytes, chunked, self.any_pause());
        match session.http.put(objects.key(index), body).await {
            Ok(PutOutcome::Stored) => {
                self.stored(index);
                counts.add(if chunked { Count::StoredChunked } else { Count::Stored }, 1);
                counts.add(Count::BytesStored, len);
            }
            Ok(PutOutcome::Exists) => {
                book.refused(index);
                counts.add(Count::Exists, 1);
            }
            Err(Error::Refused { code: Some(ErrorCode::NoSpace), .. }) => {
                book.refused(index);
                counts.add(Count::NoSpace, 1);
                Self::rest(SPACE_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Stores an object, and others together with it.
    async fn store_over_lane(&mut self, session: &Session, index: usize) -> anyhow::Result<()> {
        let Common { objects, .. } = self.common;
        let mut indices = vec![index];
        indices.extend((0..self.random.below(BATCH_MAX)).map(|_| self.any_own()));
        indices.sort_unstable();
        indices.dedup();
        let begin = |index| (index, objects.payload(index, self.common.book.begin(index)).bytes());
        let wishes: Vec<_> = indices.into_iter().map(begin).collect();
        let len = |bytes: &[u8]| ByteSize::new(bytes.len() as u64);
        let asked: Vec<_> =
            wishes.iter().map(|(index, bytes)| (objects.key(*index), len(bytes))).collect();
        let reserved = session.lane.reserve(&asked, CALL_WITHIN).await?;
        let (mut filled, mut places) = (Vec::new(), Vec::new());
        for (reserved, (index, bytes)) in reserved.into_iter().zip(wishes) {
            let reservation = match reserved {
                Ok(reservation) => reservation,
                Err(outcome) => {
                    self.committed(index, bytes.len(), outcome)?;
                    continue;
                }
            };
            let checksum = fill(&reservation, &bytes, self.any_pause());
            let dice = self.random.below(100);
            match checksum {
                None => self.committed(index, bytes.len(), LanePut::Late)?,
                Some(_) if dice < GIVE_UP_PERCENT + STRAY_PERCENT => {
                    self.common.book.refused(index);
                    self.common.counts.add(Count::GivenUp, 1);
                    if dice < STRAY_PERCENT && self.common.roomy {
                        self.strays.push((reservation, bytes));
                    }
                }
                Some(checksum) => {
                    filled.push((reservation, checksum));
                    places.push((index, bytes.len()));
                }
            }
        }
        let outcomes = session.lane.commit(filled, CALL_WITHIN).await?;
        for (outcome, (index, len)) in outcomes.into_iter().zip(places) {
            self.committed(index, len, outcome)?;
        }
        Ok(())
    }

    /// Notes what came of an object over the fast lane.
    fn committed(&self, index: usize, len: usize, outcome: LanePut) -> anyhow::Result<()> {
        let Common { book, counts, .. } = self.common;
        let count = match outcome {
            LanePut::Stored => {
                self.stored(index);
                counts.add(Count::BytesStored, len as u64);
                counts.add(Count::StoredLane, 1);
                return Ok(());
            }
            LanePut::Exists => Count::Exists,
            LanePut::Late => Count::FilledLate,
            LanePut::Refused(ReserveStatus::NoSpace) => Count::NoSpace,
            LanePut::Refused(status) => bail!("refused, status=`{status:?}`"),
        };
        book.refused(index);
        counts.add(count, 1);
        Ok(())
    }

    fn stored(&self, index: usize) {
        if self.common.book.stored(index) && self.common.roomy {
            self.common.fault(index, "lost", "a store where there should have been an object");
        }
    }

    /// How long a store pauses in the middle: kills hit it then.
    fn any_pause(&mut self) -> Duration {
        if self.random.percent(SLOW_PERCENT) { SLOW_PAUSE } else { Duration::ZERO }
    }
}
