//! A writer over the fast lane: reserves for several objects, fills them where they are, commits.

use std::{thread, time::Duration};

use kvlease_api::lane::ReserveStatus;
use kvlease_client::{
    ByteSize, Key,
    lane::{Lane, LanePut, Reservation},
};
use tokio::time::sleep;

use super::{
    client::CALL_WITHIN,
    ledger::{Activity, Count},
    versions::Known,
    writer::{SLOW_PAUSE, SLOW_PERCENT, SPACE_PAUSE, Writer},
};

/// How many objects are stored together at most.
const BATCH_MAX: u64 = 4;

/// How often a filled object is given up, in percent.
const GIVE_UP_PERCENT: u64 = 10;

/// An object that is to be stored.
struct Wish {
    index: usize,
    key: Key,
    known: Known,
    bytes: Vec<u8>,
}

impl Writer {
    /// Stores the next versions of the object of this key and of some others.
    pub(super) async fn store_over_lane(
        &mut self,
        lane: &Lane,
        index: usize,
    ) -> anyhow::Result<()> {
        let mut indices = vec![index];
        for _ in 0..self.session.random.below(BATCH_MAX) {
            indices.push(self.any_own());
        }
        indices.sort_unstable();
        indices.dedup();
        let mut wishes = Vec::with_capacity(indices.len());
        for index in indices {
            let mut known = self.session.versions.get(index)?;
            let version = known.begin();
            self.session.versions.set(index, known)?;
            let bytes = self.session.workload.payload(index, version).bytes();
            wishes.push(Wish { index, key: self.session.key(index), known, bytes });
        }
        self.session.ledger.begin(Activity::Put)?;
        let outcomes = self.store_all(lane, &wishes).await;
        for (place, wish) in wishes.iter_mut().enumerate() {
            match outcomes.get(place) {
                Some(outcome) => self.count(wish, *outcome)?,
                None => {
                    wish.known.doubt();
                    self.session.versions.set(wish.index, wish.known)?;
                }
            }
        }
        self.session.ledger.end()?;
        if outcomes.contains(&Some(LanePut::Refused(ReserveStatus::NoSpace))) {
            sleep(SPACE_PAUSE).await;
        }
        Ok(())
    }

    /// What came of each object; `None` for one that was given up. They end where the lane broke.
    async fn store_all(&mut self, lane: &Lane, wishes: &[Wish]) -> Vec<Option<LanePut>> {
        let asked = |wish: &Wish| ByteSize::new(wish.bytes.len() as u64);
        let asked: Vec<_> = wishes.iter().map(|wish| (&wish.key, asked(wish))).collect();
        let reserved = match lane.reserve(&asked, CALL_WITHIN).await {
            Ok(reserved) => reserved,
            Err(error) => {
                self.session.failed("a reservation", &error);
                return Vec::new();
            }
        };
        let mut outcomes = Vec::with_capacity(wishes.len());
        let (mut filled, mut places) = (Vec::new(), Vec::new());
        for (place, (reserved, wish)) in reserved.into_iter().zip(wishes).enumerate() {
            outcomes.push(reserved.as_ref().err().copied());
            let Ok(reservation) = reserved else { continue };
            let slow = self.session.random.percent(SLOW_PERCENT);
            let pause = if slow { SLOW_PAUSE } else { Duration::ZERO };
            match fill(&reservation, &wish.bytes, pause) {
                Some(_) if self.session.random.percent(GIVE_UP_PERCENT) => drop(reservation),
                Some(checksum) => {
                    filled.push((reservation, checksum));
                    places.push(place);
                }
                None => outcomes[place] = Some(LanePut::Late),
            }
        }
        match lane.commit(filled, CALL_WITHIN).await {
            Ok(committed) => {
                for (place, outcome) in places.into_iter().zip(committed) {
                    outcomes[place] = Some(outcome);
                }
                outcomes
            }
            Err(error) => {
                self.session.failed("a commit", &error);
                Vec::new()
            }
        }
    }

    /// Removes the object, unless it is being written. That can only be by a writer before this one,
    /// of whose object it is known that it may come late.
    pub(super) async fn remove_over_lane(
        &mut self,
        lane: &Lane,
        index: usize,
        known: &mut Known,
    ) -> anyhow::Result<()> {
        let session = &mut self.session;
        let removed = lane.remove(&[session.key(index)], CALL_WITHIN).await;
        let count = match removed.as_deref() {
            Ok([true]) => Count::Removed,
            Ok(_) => Count::RemovedAbsent,
            Err(error) => {
                session.failed("a removal", error);
                return Ok(());
            }
        };
        session.ledger.add(count, 1);
        known.gone();
        Ok(session.versions.set(index, *known)?)
    }

    fn count(&mut self, wish: &mut Wish, outcome: Option<LanePut>) -> anyhow::Result<()> {
        let (session, known) = (&mut self.session, &mut wish.known);
        let count = match outcome {
            Some(LanePut::Stored) => {
                known.stored();
                session.ledger.add(Count::BytesStored, wish.bytes.len() as u64);
                Count::StoredLane
            }
            None => {
                known.refused();
                Count::GivenUp
            }
            Some(LanePut::Exists) => {
                known.refused();
                Count::Exists
            }
            Some(LanePut::Late) => {
                known.refused();
                Count::FilledLate
            }
            Some(LanePut::Refused(ReserveStatus::NoSpace)) => {
                known.refused();
                Count::NoSpace
            }
            Some(LanePut::Refused(status)) => {
                known.refused();
                eprintln!("soak writer: refused, key=`{}` status=`{status:?}`", wish.key);
                Count::Errors
            }
        };
        session.ledger.add(count, 1);
        Ok(session.versions.set(wish.index, *known)?)
    }
}

/// Writes an object and pauses in the middle: kills hit it then, and readers wait for it.
pub(crate) fn fill(
    reservation: &Reservation,
    bytes: &[u8],
    pause: Duration,
) -> Option<kvlease_client::Checksum> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let second = std::iter::once_with(|| {
        thread::sleep(pause);
        second
    });
    reservation.fill(std::iter::once(first).chain(second))
}
