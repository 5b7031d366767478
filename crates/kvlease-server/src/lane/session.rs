//! What one connection asked for and what it owns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{
    Acquire, Commits, DoneStatus, Failure, FailureCode, Frame, Ids, Kind, Lookup, Malformed, Mode,
    Request, ReservationsWriter, Reserve, ReserveStatus, write_done, write_failure, write_renewed,
};
use kvlease_cache::ReserveError;
use kvlease_engine::{PutError, RemoveRefused};
use kvlease_sys::boot_time;
use kvlease_types::{BucketName, Key, LeaseId};
use tokio::task::JoinSet;

use super::{
    Lane,
    leases::Leases,
    reservations::Reservations,
    waiting::{self, Waited},
};

/// The most acquires of one connection that wait at the same time.
pub(super) const WAITS_MAX: usize = 64;

/// An open connection, apart from its socket.
pub(super) struct Session {
    pub(super) lane: Arc<Lane>,
    pub(super) leases: Leases,
    pub(super) reservations: Reservations,
    /// Acquires that wait for a writer.
    pub(super) waits: JoinSet<Waited>,
    /// Answers that were not sent yet.
    pub(super) out: Vec<u8>,
    /// Whether the client has a writable descriptor.
    writes: bool,
    /// The statuses of the answer that is being made; kept for its memory.
    statuses: Vec<DoneStatus>,
    /// The leases that a request names and that are the connection's: where in the request, and
    /// their names; kept for its memory.
    owned: Vec<(usize, LeaseId)>,
}

/// A request is refused as a whole.
type Refused = (FailureCode, String);

impl Session {
    pub(super) fn new(lane: Arc<Lane>, writes: bool) -> Self {
        Self {
            leases: Leases::new(lane.status.epoch()),
            reservations: Reservations::default(),
            waits: JoinSet::new(),
            out: Vec::new(),
            writes,
            statuses: Vec::new(),
            owned: Vec::new(),
            lane,
        }
    }

    /// Does what the frame asks for. Returns whether the connection goes on.
    pub(super) fn handle(&mut self, frame: &Frame<'_>) -> bool {
        let started = Instant::now();
        let answer = Request::decode(frame).map_err(refusal_of).and_then(|request| {
            self.statuses.clear();
            self.answer(frame, request, started)
        });
        let kind = frame.kind();
        match answer {
            Ok(Answered::Now) => {
                self.lane.metrics.lane.answered(kind, None, started.elapsed());
                true
            }
            Ok(Answered::Later) => true,
            Err((code, text)) => {
                self.lane.metrics.lane.answered(kind, Some(code), started.elapsed());
                self.refuse(frame.request, code, &text)
            }
        }
    }

    /// Answers with a refusal. Returns whether the connection goes on.
    pub(super) fn refuse(&mut self, request: u64, code: FailureCode, text: &str) -> bool {
        tracing::debug!(code = code.name(), "refused a frame of the fast lane: {text}");
        write_failure(&mut self.out, request, &Failure { code, text });
        !code.closes()
    }

    fn answer(
        &mut self,
        frame: &Frame<'_>,
        request: Request<'_>,
        started: Instant,
    ) -> Result<Answered, Refused> {
        let number = frame.request;
        match request {
            Request::Hello(_) => {
                let text = "the connection is open already: send one hello, and first";
                return Err((FailureCode::Order, text.into()));
            }
            Request::Acquire(acquire) => {
                self.refuse_while_draining()?;
                return Ok(self.acquire(frame, acquire, started));
            }
            Request::Release { ids, silent } => {
                self.release(ids);
                self.done(Kind::Release, number, silent);
            }
            Request::Renew { ids, ttl } => {
                let ttl = self.renew(ids, ttl);
                self.count(Kind::Renew);
                write_renewed(&mut self.out, number, ttl, &self.statuses);
            }
            Request::Exists(lookup) => {
                self.exists(lookup);
                self.done(Kind::Exists, number, false);
            }
            Request::Remove(lookup) => {
                self.remove(lookup);
                self.done(Kind::Remove, number, false);
            }
            Request::Reserve(reserve) => {
                self.refuse_while_draining()?;
                self.reserve(number, reserve);
            }
            Request::Commit(commits) => {
                self.commit(commits);
                self.done(Kind::Commit, number, false);
            }
            Request::Abort { ids, silent } => {
                self.abort(ids);
                self.done(Kind::Abort, number, silent);
            }
        }
        Ok(Answered::Now)
    }

    fn acquire(&mut self, frame: &Frame<'_>, acquire: Acquire<'_>, started: Instant) -> Answered {
        match super::acquire::acquire(self, frame, acquire, started) {
            Some(wait) => {
                self.waits.spawn(waiting::wait(Arc::clone(&self.lane), wait));
                Answered::Later
            }
            None => Answered::Now,
        }
    }

    fn release(&mut self, ids: Ids<'_>) {
        self.own(ids, Leases::take);
        let Self { lane, owned, statuses, .. } = self;
        let mut places = owned.iter();
        lane.engine.release_many(owned.iter().map(|(_, id)| *id), |live| {
            let (place, _) = places.next().expect("one answer for each lease");
            statuses[*place] = if live { DoneStatus::Done } else { DoneStatus::Expired };
        });
    }

    fn renew(&mut self, ids: Ids<'_>, ttl: Option<Duration>) -> Duration {
        self.own(ids, |leases, sequence| leases.find(sequence));
        let Self { lane, owned, statuses, leases, .. } = self;
        let mut places = owned.iter();
        let ttl = lane.engine.renew_many(owned.iter().map(|(_, id)| *id), ttl, |live| {
            let (place, _) = places.next().expect("one answer for each lease");
            statuses[*place] = if live { DoneStatus::Done } else { DoneStatus::Expired };
        });
        let deadline = boot_time().after(ttl);
        for (place, id) in &*owned {
            match statuses[*place] {
                DoneStatus::Done => leases.add(id.sequence, deadline),
                _ => drop(leases.take(id.sequence)),
            }
        }
        ttl
    }

    /// Finds the leases that are the connection's. All others are unknown to it.
    fn own(&mut self, ids: Ids<'_>, find: impl Fn(&mut Leases, u64) -> Option<LeaseId>) {
        self.owned.clear();
        for (place, sequence) in ids.enumerate() {
            self.statuses.push(DoneStatus::Unknown);
            self.owned.extend(find(&mut self.leases, sequence).map(|id| (place, id)));
        }
    }

    fn exists(&mut self, Lookup { mode, bucket, keys }: Lookup<'_>) {
        let Self { lane, statuses, .. } = self;
        lane.engine.exists_many(bucket, keys, mode == Mode::Prefix, |there| {
            statuses.push(if there { DoneStatus::Done } else { DoneStatus::Unknown });
        });
    }

    fn remove(&mut self, Lookup { bucket, keys, .. }: Lookup<'_>) {
        let Self { lane, statuses, .. } = self;
        statuses.extend(keys.map(|key| match lane.engine.remove(bucket, key) {
            Ok(()) => DoneStatus::Done,
            Err(RemoveRefused::Absent) => DoneStatus::Unknown,
            Err(RemoveRefused::BeingWritten) => DoneStatus::BeingWritten,
        }));
    }

    fn reserve(&mut self, number: u64, Reserve { bucket, wishes }: Reserve<'_>) {
        let Self { lane, reservations, out, writes, .. } = self;
        let bucket = BucketName::new(bucket).expect("the name was checked");
        let mut answer = ReservationsWriter::begin(out, number, lane.config.reservation_ttl);
        let mut refusals = [0; ReserveStatus::ALL.len()];
        for wish in wishes {
            let made = match (*writes, reservations.has_room()) {
                (false, _) => Err(ReserveStatus::NotWritable),
                (_, false) => Err(ReserveStatus::TooManyReservations),
                _ => {
                    let key = Key::new(wish.key).expect("the name was checked");
                    lane.engine.reserve(bucket.clone(), key, wish.len).map_err(status_of)
                }
            };
            match made {
                Ok(reservation) => {
                    let (name, reservation) = reservations.add(reservation);
                    answer.granted(name, reservation.extents());
                    refusals[usize::from(ReserveStatus::Granted.number())] += 1;
                }
                Err(status) => {
                    answer.refused(status);
                    refusals[usize::from(status.number())] += 1;
                }
            }
        }
        answer.finish();
        lane.metrics.lane.items(Kind::Reserve, &refusals);
    }

    fn commit(&mut self, commits: Commits<'_>) {
        let Self { lane, reservations, statuses, .. } = self;
        statuses.extend(commits.map(|commit| match reservations.take(commit.write) {
            None => DoneStatus::Unknown,
            Some(reservation) => match reservation.commit(commit.checksum) {
                Ok(stored) => {
                    lane.metrics.lane.written(stored.len.bytes());
                    DoneStatus::Done
                }
                Err(_) => DoneStatus::Expired,
            },
        }));
    }

    fn abort(&mut self, ids: Ids<'_>) {
        let Self { reservations, statuses, .. } = self;
        statuses.extend(ids.map(|name| match reservations.take(name) {
            Some(_aborted) => DoneStatus::Done,
            None => DoneStatus::Unknown,
        }));
    }

    /// Answers with the statuses, unless the client wants no answer.
    fn done(&mut self, kind: Kind, number: u64, silent: bool) {
        self.count(kind);
        if !silent {
            write_done(&mut self.out, number, &self.statuses);
        }
    }

    fn count(&self, kind: Kind) {
        let mut counts = [0; DoneStatus::ALL.len()];
        self.statuses.iter().for_each(|status| counts[usize::from(status.number())] += 1);
        self.lane.metrics.lane.items(kind, &counts);
    }

    fn refuse_while_draining(&self) -> Result<(), Refused> {
        let refused = |refusal: crate::http::Refusal| (FailureCode::Unavailable, refusal.message);
        self.lane.status.refuse_while_draining().map_err(refused)
    }

    /// Gives memory back that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        self.out.shrink_to_fit();
        self.statuses = Vec::new();
        self.owned = Vec::new();
        self.leases.shrink();
    }
}

/// Whether a request is done with.
enum Answered {
    Now,
    /// Once what it waits for has come, or the wait is over.
    Later,
}

fn refusal_of(malformed: Malformed) -> Refused {
    let code = match malformed {
        Malformed::Kind { .. } => FailureCode::UnknownKind,
        _ => FailureCode::Malformed,
    };
    (code, malformed.to_string())
}

fn status_of(error: PutError) -> ReserveStatus {
    match error {
        PutError::Reserve(ReserveError::Exists) => ReserveStatus::Exists,
        PutError::Reserve(ReserveError::BeingWritten) => ReserveStatus::BeingWritten,
        PutError::Reserve(ReserveError::TooLarge { .. }) | PutError::TooLarge { .. } => {
            ReserveStatus::TooLarge
        }
        PutError::Reserve(ReserveError::MemoryShort { .. }) => ReserveStatus::MemoryShort,
        _ => ReserveStatus::NoSpace,
    }
}
