//! Objects where they are in the arena, for programs that copy by themselves, also in other processes.
//!
//! Such a program writes into space that was reserved, and has it committed; it reads what was leased
//! and verified for it. No byte passes through this process on the way, but each is read once: an
//! object that is written gets its checksum from the arena, and one that is read is compared with it.

use std::{io, sync::Arc, time::Instant};

use futures_util::future::join_all;
use kvlease_api::ErrorCode;
use kvlease_attach::Attachment;
use kvlease_http::{Error, PutOutcome};
use kvlease_lane::{Lane, LaneError, LanePut, Reservation};
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{
    Connector, View,
    backend::put_outcome,
    context::ReadContext,
    open::{Hold, Opened, open_shared, settle},
};

/// Names of the operations in errors.
const RESERVE: &str = "reserve";
const COMMIT: &str = "commit";

/// Space of the arena for one object, to be written by the caller, or by whom it names the extents to.
///
/// Dropping it gives the space back: the caller has ended all writes there before.
#[derive(Debug)]
pub struct ReservedSpace {
    key: Key,
    reservation: Reservation,
}

impl ReservedSpace {
    /// The object's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Places of the object's parts in the arena, in their order.
    pub fn extents(&self) -> &[Extent] {
        self.reservation.extents()
    }

    /// End of the time in which the space can be written and committed.
    pub fn deadline(&self) -> Instant {
        self.reservation.deadline()
    }

    /// The mapping that the extents are about.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.reservation.attachment()
    }

    fn len(&self) -> ByteSize {
        ByteSize::new(self.extents().iter().map(|extent| extent.len.bytes()).sum())
    }
}

impl Connector {
    /// Leases many objects where they are, and compares each with its checksum. `None` is a miss.
    ///
    /// [`Error::NoSharedMemory`] is the answer where nothing can be leased in shared memory.
    pub async fn batched_view(&self, keys: &[Key]) -> Vec<Result<Option<View>, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        let reads = &self.inner.reads;
        let asked: Vec<&Key> = keys.iter().collect();
        let opened = open_shared(reads, &asked, 0, Hold::Leased).await.into_iter();
        let mut views = join_all(opened.map(|opened| verified(reads, settle(reads, opened)))).await;
        views.resize_with(keys.len(), || Err(Error::NoSharedMemory));
        views
    }

    /// Reserves space for many objects over the fast lane. `None` if the key has an object, or one that
    /// is being written.
    pub async fn reserve(
        &self,
        objects: &[(Key, ByteSize)],
    ) -> Vec<Result<Option<ReservedSpace>, Error>> {
        if let Some(refused) = self.refused(objects.len()) {
            return refused;
        }
        let Some(backend) = self.inner.backends.lane().await else {
            return objects.iter().map(|_| Err(no_lane())).collect();
        };
        let mut answers = Vec::with_capacity(objects.len());
        while answers.len() < objects.len() {
            let rest = &objects[answers.len()..];
            let asked: Vec<_> = rest.iter().map(|(key, len)| (key, *len)).collect();
            match backend.lane().reserve(&asked, self.call_limit()).await {
                Ok(reserved) if !reserved.is_empty() => {
                    let answered = rest.iter().zip(reserved);
                    answers.extend(answered.map(|((key, len), of)| reserved_space(key, *len, of)));
                }
                Ok(_) => answers.resize_with(objects.len(), || Err(no_lane())),
                Err(error) => {
                    let error = Arc::new(error);
                    answers.resize_with(objects.len(), || Err(self.lane_failed(RESERVE, &error)));
                }
            }
        }
        answers
    }

    /// Publishes objects that were written into their space, with the checksums of what is there by now.
    /// The caller has ended all writes there before.
    pub async fn commit(&self, written: Vec<ReservedSpace>) -> Vec<Result<PutOutcome, Error>> {
        if let Some(refused) = self.refused(written.len()) {
            return refused;
        }
        let copier = &self.inner.reads.copier;
        let sum = |space: ReservedSpace| {
            copier.run(move || {
                let sum = space.reservation.sum();
                (space, sum)
            })
        };
        let summed = join_all(written.into_iter().map(sum)).await;
        let mut outcomes = Vec::with_capacity(summed.len());
        let mut run = Run::default();
        for (space, sum) in summed {
            let lane = space.reservation.lane();
            if sum.is_none() || run.lane.as_ref().is_some_and(|of| !of.downgrade().is(&lane)) {
                outcomes.extend(self.commit_run(std::mem::take(&mut run)).await);
            }
            match sum {
                Some(sum) => run.push(lane, space, sum),
                None => outcomes.push(put_outcome(LanePut::Expired, &space.key, space.len())),
            }
        }
        outcomes.extend(self.commit_run(run).await);
        outcomes
    }

    /// Publishes objects that were reserved over one lane.
    async fn commit_run(&self, run: Run) -> Vec<Result<PutOutcome, Error>> {
        let Run { lane: Some(lane), objects, written } = run else { return Vec::new() };
        let committed = lane.commit(written, self.call_limit()).await.map_err(Arc::new);
        let counters = &self.inner.terms.counters;
        let outcome = |(place, (key, len)): (usize, &(Key, ByteSize))| {
            let outcome = match &committed {
                Ok(done) => put_outcome(*done.get(place).unwrap_or(&LanePut::Expired), key, *len),
                Err(error) => Err(self.lane_failed(COMMIT, error)),
            };
            counters.put(outcome, Some(len.bytes()))
        };
        objects.iter().enumerate().map(outcome).collect()
    }

    fn call_limit(&self) -> std::time::Duration {
        self.config().client.timeouts.call
    }

    fn lane_failed(&self, operation: &'static str, error: &Arc<LaneError>) -> Error {
        let address = self.config().client.address.clone();
        match **error {
            LaneError::TimedOut { limit, .. } => {
                Error::TimedOut { operation, request_id: None, limit, address }
            }
            _ => {
                let source = io::Error::other(Arc::clone(error));
                Error::Broken { operation, address, request_id: None, source }
            }
        }
    }
}

/// Objects that are committed together, those of one lane.
#[derive(Default)]
struct Run {
    lane: Option<Lane>,
    objects: Vec<(Key, ByteSize)>,
    written: Vec<(Reservation, Checksum)>,
}

impl Run {
    fn push(&mut self, lane: Lane, space: ReservedSpace, sum: Checksum) {
        self.lane = Some(lane);
        self.objects.push((space.key.clone(), space.len()));
        self.written.push((space.reservation, sum));
    }
}

fn reserved_space(
    key: &Key,
    len: ByteSize,
    reserved: Result<Reservation, LanePut>,
) -> Result<Option<ReservedSpace>, Error> {
    match reserved {
        Ok(reservation) => Ok(Some(ReservedSpace { key: key.clone(), reservation })),
        Err(refused) => put_outcome(refused, key, len).map(|_exists| None),
    }
}

/// The view of an object that was opened, if its bytes are what was stored.
async fn verified(reads: &Arc<ReadContext>, opened: Opened) -> Result<Option<View>, Error> {
    let Some(object) = opened? else { return Ok(None) };
    let view = object.into_view().map_err(|_| Error::NoSharedMemory)?;
    reads.copier.run(move || view.verify().map(|()| Some(view))).await
}

fn no_lane() -> Error {
    let code = ErrorCode::Unavailable;
    let message = "space is reserved over the fast lane alone, and it is not open".to_owned();
    let (status, code) = (code.status(), Some(code));
    Error::Refused { operation: RESERVE, status, code, message, request_id: None }
}
