//! The reservations of one connection.

use kvlease_api::lane::{
    Commits, DoneStatus, Ids, Kind, Lengths, ReservationsWriter, Reserve, ReserveStatus, Store,
};
use kvlease_engine::{NotStored, Reservation, ReserveLimits, StoreItem, Stored};
use kvlease_sys::boot_time;
use kvlease_types::{BucketName, ByteSize, Caller, Key, Timestamp, WriteRefused};
use tokio::time::sleep;

use super::rising::Rising;
use crate::context::Context;

/// The most reservations that a connection may have open.
const OPEN_MAX: usize = 4_096;

/// The reservations that a connection has neither committed nor aborted, by name. All of them
/// have the same time, so the first is the first to end.
#[derive(Debug)]
pub(super) struct Reservations {
    caller: Caller,
    /// Whether the client has a writable descriptor.
    writable: bool,
    open: Rising<Reservation>,
    /// Sum of the lengths of those that are open.
    open_len: u64,
}

impl Reservations {
    pub(super) fn new(caller: Caller, writable: bool) -> Self {
        Self { caller, writable, open: Rising::default(), open_len: 0 }
    }

    /// Reserves space for the objects of a request, and appends the answer.
    pub(super) fn reserve(
        &mut self,
        context: &Context,
        number: u64,
        request: Reserve<'_>,
        out: &mut Vec<u8>,
    ) {
        let outcomes = self.make(context, request);
        self.answer(context, (Kind::Reserve, number), outcomes, out);
    }

    /// Makes spare reservations of these lengths, and appends the answer.
    pub(super) fn prepare(
        &mut self,
        context: &Context,
        number: u64,
        lengths: Lengths<'_>,
        out: &mut Vec<u8>,
    ) {
        let outcomes = match self.writable {
            true => context.engine.prepare(&self.caller, lengths, self.limits()),
            false => lengths.map(|_| Err(WriteRefused::NotWritable)).collect(),
        };
        self.answer(context, (Kind::Prepare, number), outcomes, out);
    }

    fn answer(
        &mut self,
        context: &Context,
        (kind, number): (Kind, u64),
        outcomes: Vec<Result<Reservation, WriteRefused>>,
        out: &mut Vec<u8>,
    ) {
        let mut answer = ReservationsWriter::begin(out, number, context.config.reservation_ttl);
        let mut counts = [0; ReserveStatus::ALL.len()];
        for outcome in outcomes {
            let status = match outcome {
                Ok(reservation) => {
                    answer.granted(self.open.next(), reservation.extents());
                    self.open_len += reservation.len().bytes();
                    self.open.push(reservation);
                    ReserveStatus::Granted
                }
                Err(refused) => {
                    let status = ReserveStatus::of_write(refused);
                    answer.refused(status);
                    status
                }
            };
            counts[usize::from(status.number())] += 1;
        }
        answer.finish();
        context.metrics.lane.items(kind, &counts);
    }

    fn make(
        &self,
        context: &Context,
        Reserve { bucket, objects }: Reserve<'_>,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        if !self.writable {
            return objects.map(|_| Err(WriteRefused::NotWritable)).collect();
        }
        let bucket = BucketName::new(bucket).expect("the name was checked");
        let named = |key: &str| Key::new(key).expect("the name was checked");
        let items = objects.map(|object| (named(object.key), object.len)).collect();
        context.engine.reserve(&self.caller, &bucket, items, self.limits())
    }

    fn limits(&self) -> ReserveLimits {
        let (reservations, open) = (OPEN_MAX - self.open.len(), ByteSize::new(self.open_len));
        ReserveLimits { reservations, open }
    }

    /// Publishes the objects that a request names, and appends their statuses.
    pub(super) fn commit(
        &mut self,
        context: &Context,
        commits: Commits<'_>,
        statuses: &mut Vec<DoneStatus>,
    ) {
        let count = commits.len();
        let (mut places, mut items) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (place, commit) in commits.enumerate() {
            statuses.push(DoneStatus::Unknown);
            if let Some(reservation) = self.take(commit.write) {
                places.push(place);
                items.push((reservation, commit.checksum));
            }
        }
        let outcomes = context.engine.commit(&self.caller, items);
        for (place, outcome) in places.into_iter().zip(outcomes) {
            statuses[place] = status(context, outcome);
        }
    }

    /// Publishes what was written into spare reservations, and appends the statuses of the objects. A
    /// reservation whose name is refused stays open.
    pub(super) fn store(
        &mut self,
        context: &Context,
        Store { bucket, objects }: Store<'_>,
        statuses: &mut Vec<DoneStatus>,
    ) {
        let count = objects.len();
        let (mut places, mut items) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (place, object) in objects.enumerate() {
            statuses.push(DoneStatus::Unknown);
            if let Some(reservation) = self.take(object.write) {
                places.push((place, object.write));
                let key = Key::new(object.key).expect("the name was checked");
                let (len, checksum) = (object.len, object.checksum);
                items.push(StoreItem { reservation, key, len, checksum });
            }
        }
        let bucket = BucketName::new(bucket).expect("the name was checked");
        let outcomes = context.engine.store(&self.caller, &bucket, items);
        for ((place, name), outcome) in places.into_iter().zip(outcomes) {
            let outcome = outcome.map_err(|NotStored { refused, reservation }| {
                if let Some(reservation) = reservation {
                    self.open_len += reservation.len().bytes();
                    self.open.put_back(name, reservation);
                }
                refused
            });
            statuses[place] = status(context, outcome);
        }
    }

    /// Discards the objects that a request names, and appends their statuses.
    pub(super) fn abort(
        &mut self,
        context: &Context,
        ids: Ids<'_>,
        statuses: &mut Vec<DoneStatus>,
    ) {
        let mut discarded = Vec::new();
        for name in ids {
            let reservation = self.take(name);
            let known = reservation.is_some();
            statuses.push(if known { DoneStatus::Done } else { DoneStatus::Unknown });
            discarded.extend(reservation);
        }
        context.engine.abort(discarded);
    }

    /// When the first of them has to be given up.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.open.first().map(|(_, reservation)| reservation.until())
    }

    /// Aborts those into which the client cannot be writing any more.
    pub(super) fn end_overdue(&mut self) {
        let now = boot_time();
        while let Some((number, first)) = self.open.first()
            && first.until() <= now
        {
            self.take(number);
        }
    }

    /// Takes out a reservation, if there is one of this name.
    fn take(&mut self, name: u64) -> Option<Reservation> {
        let taken = self.open.remove(name);
        self.open_len -= taken.as_ref().map_or(0, |reservation| reservation.len().bytes());
        taken
    }

    /// Keeps them until the client cannot be writing into them any more.
    pub(super) async fn outlive_writers(mut self) {
        while let Some(until) = self.next_end() {
            sleep(until.since(boot_time())).await;
            self.end_overdue();
        }
    }
}

/// The status of a commit, which is counted.
fn status(context: &Context, outcome: Result<Stored, WriteRefused>) -> DoneStatus {
    match outcome {
        Ok(stored) => {
            context.metrics.lane.written(stored.len.bytes());
            DoneStatus::Done
        }
        Err(refused) => DoneStatus::of_commit(refused),
    }
}
