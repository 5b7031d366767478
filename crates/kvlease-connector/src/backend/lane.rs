//! The fast lane as a backend: a frame for a whole batch.
//!
//! Objects are written straight into the arena: one frame reserves space for a group of them, each
//! is copied with its checksum, and one frame commits them.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kvlease_api::{ErrorCode, lane::ReserveStatus};
use kvlease_attach::Attachment;
use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_lane::{AcquireOutcome, Lane, LaneError, LaneLease, LanePut, Reservation};
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::runtime::Handle;

use super::{
    super::{config::ConnectorConfig, copier::Copier, terms::Terms},
    api::{Answers, Backend, LeaseGuard},
};

/// How many objects, and how many of their bytes, are reserved for at a time: reserved space is of no
/// use to other writers.
const GROUP_MAX: usize = 128;
const GROUP_LEN_MAX: u64 = 128 << 20;

/// Objects that together are up to this long are copied on the thread of the call: another thread
/// would have begun no sooner than the copy is done.
const COPY_HERE_LEN_MAX: u64 = 1 << 20;

/// The bytes of an object, in two parts.
type Parts = [Bytes; 2];

/// Part of a call's time limit that is kept for a commit, however long the copies before it took.
const COMMIT_PART: u32 = 4;

/// Calls over an open lane. A lane that breaks leaves the rest of a batch unanswered. A daemon that
/// does not answer in time would not do so over HTTP either: then the rest is answered by time-outs.
#[derive(Debug)]
pub struct LaneBackend {
    lane: Lane,
    terms: Arc<Terms>,
    copier: Arc<Copier>,
}

impl LaneBackend {
    /// A backend of its own, beside any connector, over the lane at this socket.
    ///
    /// # Errors
    ///
    /// Those of [`Lane::open`].
    pub async fn open(config: ConnectorConfig, socket: &Path) -> Result<Self, LaneError> {
        let (client, threads) = (&config.client, config.copy_threads);
        let (bucket, connections) = (client.bucket.clone(), client.requests_max);
        let lane =
            Lane::open(socket, bucket, true, client.trusted, connections, client.timeouts.connect);
        let lane = lane.await?;
        Ok(Self::new(lane, Terms::new(config), Arc::new(Copier::new(threads))))
    }

    pub(crate) fn new(lane: Lane, terms: Arc<Terms>, copier: Arc<Copier>) -> Self {
        Self { lane, terms, copier }
    }

    /// Time limit of a call.
    fn limit(&self) -> Duration {
        self.terms.config.client.timeouts.call
    }

    /// The lease, unless the key is a miss or its object too large.
    fn accept(&self, outcome: AcquireOutcome) -> Option<LaneLease> {
        match outcome {
            AcquireOutcome::Leased(lease) => self.terms.accepts(lease.len()).then_some(lease),
            AcquireOutcome::Absent | AcquireOutcome::Full => None,
        }
    }

    /// Answers to keys that a call over the lane failed for: time-outs, or none at all if the next
    /// backend is to be asked.
    fn failed<T>(&self, error: &LaneError, operation: &'static str, keys: usize) -> Answers<T> {
        let LaneError::TimedOut { limit, .. } = error else { return Answers::new() };
        let address = &self.terms.config.client.address;
        let timed_out = || Error::TimedOut { operation, limit: *limit, address: address.clone() };
        (0..keys).map(|_| Err(timed_out())).collect()
    }

    /// Stores as many objects of a group as space is reserved for; fails if the lane broke.
    async fn put_group(&self, group: &[(&Key, Parts)]) -> Result<Answers<PutOutcome>, LaneError> {
        let (limit, started) = (self.limit(), Instant::now());
        let requested: Vec<_> = group.iter().map(|(key, parts)| (*key, len_of(parts))).collect();
        let reserved = self.lane.reserve(&requested, limit).await?;
        if reserved.is_empty() {
            return Ok(Answers::new());
        }
        // Reserved space is filled; what was refused has its outcome already.
        let mut outcomes = Vec::with_capacity(reserved.len());
        let mut to_fill = Vec::new();
        for (reserved, (_, parts)) in reserved.into_iter().zip(group) {
            outcomes.push(reserved.as_ref().err().copied());
            if let Ok(reservation) = reserved {
                to_fill.push((reservation, parts.clone()));
            }
        }
        let filled = self.fill(to_fill).await;
        // What was not filled in time has expired; the rest is committed together.
        let is_filled: Vec<bool> = filled.iter().map(Option::is_some).collect();
        let filled: Vec<_> = filled.into_iter().flatten().collect();
        let limit = limit.saturating_sub(started.elapsed()).max(limit / COMMIT_PART);
        let mut committed = match filled.is_empty() {
            true => Vec::new(),
            false => self.lane.commit(filled, limit).await?,
        }
        .into_iter();
        // Each reservation's outcome, in the order of the group.
        let mut is_filled = is_filled.into_iter();
        let mut of_reservation = || match is_filled.next() {
            Some(true) => committed.next().unwrap_or(LanePut::Expired),
            _ => LanePut::Expired,
        };
        let answer = |(refused, (key, parts)): (Option<LanePut>, &(&Key, Parts))| {
            put_outcome(refused.unwrap_or_else(&mut of_reservation), key, len_of(parts))
        };
        Ok(outcomes.into_iter().zip(group).map(answer).collect())
    }

    /// Copies objects into their reserved space, on the threads for copies if they are long. The
    /// reservation of an object that was not copied in time is gone.
    async fn fill(
        &self,
        objects: Vec<(Reservation, Parts)>,
    ) -> Vec<Option<(Reservation, Checksum)>> {
        let len: u64 = objects.iter().map(|(_, parts)| len_of(parts).bytes()).sum();
        if len <= COPY_HERE_LEN_MAX {
            return objects.into_iter().map(fill).collect();
        }
        let copies = objects.into_iter().map(|object| self.copier.run(move || fill(object)));
        futures_util::future::join_all(copies).await
    }
}

impl Backend for LaneBackend {
    type Lease = LaneLease;

    async fn acquire(&self, keys: &[&Key]) -> Answers<Option<LaneLease>> {
        let ConnectorConfig { lease_wait, lease_ttl, client, .. } = &self.terms.config;
        let limit = client.timeouts.lease(*lease_wait);
        match self.lane.acquire(keys, false, *lease_wait, *lease_ttl, limit).await {
            Ok(outcomes) => outcomes.into_iter().map(|outcome| Ok(self.accept(outcome))).collect(),
            Err(error) => self.failed(&error, "lease", keys.len()),
        }
    }

    async fn renew(&self, lease: &mut LaneLease, ttl: Duration) -> Result<bool, Error> {
        // Leases end with the lane that they came over.
        Ok(lease.renew(ttl, self.limit()).await.unwrap_or(false))
    }

    fn flush(&self) {
        self.lane.flush();
    }

    async fn exists(&self, keys: &[&Key]) -> Answers<bool> {
        if self.terms.config.lease_len_max.is_some() {
            // Only a lease tells the length.
            let leased = self.acquire(keys).await.into_iter();
            return leased.map(|lease| lease.map(|lease| lease.is_some())).collect();
        }
        match self.lane.exists(keys, false, self.limit()).await {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => self.failed(&error, "exists", keys.len()),
        }
    }

    async fn count_prefix(&self, keys: &[Key]) -> Option<Result<usize, Error>> {
        if self.terms.config.lease_len_max.is_some() {
            let ConnectorConfig { lease_wait, lease_ttl, client, .. } = &self.terms.config;
            let limit = client.timeouts.lease(*lease_wait);
            return match self.lane.acquire(keys, true, *lease_wait, *lease_ttl, limit).await {
                Ok(outcomes) => {
                    let accepted = outcomes.into_iter().map_while(|outcome| self.accept(outcome));
                    Some(Ok(accepted.count()))
                }
                Err(error) => self.failed(&error, "lease", 1).pop(),
            };
        }
        match self.lane.exists(keys, true, self.limit()).await {
            Ok(found) => Some(Ok(found.iter().take_while(|found| **found).count())),
            Err(error) => self.failed(&error, "exists", 1).pop(),
        }
    }

    async fn put(&self, objects: &mut [(&Key, PutBody)]) -> Answers<PutOutcome> {
        if !self.lane.is_writable() {
            return Answers::new();
        }
        // The first body that is not in memory, and all behind it, are left to HTTP.
        let parts = objects.iter().map_while(|(key, body)| Some((*key, body.in_memory()?)));
        let objects: Vec<_> = parts.collect();
        let mut answers = Vec::with_capacity(objects.len());
        while answers.len() < objects.len() {
            let group = group(&objects[answers.len()..]);
            match self.put_group(group).await {
                Ok(answered) if answered.is_empty() => break,
                Ok(answered) => answers.extend(answered),
                Err(error) => {
                    answers.extend(self.failed(&error, "put", objects.len() - answers.len()));
                    break;
                }
            }
        }
        answers
    }

    async fn remove(&self, keys: &[&Key]) -> Answers<bool> {
        match self.lane.remove(keys, self.limit()).await {
            Ok(removed) => removed.into_iter().map(Ok).collect(),
            Err(error) => self.failed(&error, "remove", keys.len()),
        }
    }
}

impl LeaseGuard for LaneLease {
    fn extents(&self) -> &[Extent] {
        self.extents()
    }

    fn object_len(&self) -> ByteSize {
        self.len()
    }

    fn checksum(&self) -> Option<Checksum> {
        Some(self.checksum())
    }

    fn generation(&self) -> Option<u64> {
        Some(self.generation())
    }

    fn deadline(&self) -> Instant {
        self.deadline()
    }

    fn is_unexpired(&self) -> bool {
        self.is_live()
    }

    fn attachment(&self) -> &Arc<Attachment> {
        self.attachment()
    }

    fn runtime(&self) -> &Handle {
        self.runtime()
    }

    fn keep_alive(&self, limit: Duration) {
        self.keep_alive(limit);
    }
}

fn fill((reservation, parts): (Reservation, Parts)) -> Option<(Reservation, Checksum)> {
    let checksum = reservation.fill(parts.iter().map(AsRef::as_ref))?;
    Some((reservation, checksum))
}

/// The first objects, as many as make a group.
fn group<'a, 'k>(objects: &'a [(&'k Key, Parts)]) -> &'a [(&'k Key, Parts)] {
    let mut len = 0;
    let fits = |(_, parts): &&(&Key, Parts)| {
        len += len_of(parts).bytes();
        len <= GROUP_LEN_MAX
    };
    let count = objects.iter().take(GROUP_MAX).take_while(fits).count();
    &objects[..count.max(1)]
}

fn len_of(parts: &Parts) -> ByteSize {
    ByteSize::new(parts.iter().map(|part| part.len() as u64).sum())
}

/// The answer that HTTP gives to the same put.
fn put_outcome(outcome: LanePut, key: &Key, len: ByteSize) -> Result<PutOutcome, Error> {
    let (code, what) = match outcome {
        LanePut::Stored => return Ok(PutOutcome::Stored),
        LanePut::Exists => return Ok(PutOutcome::Exists),
        LanePut::Expired => {
            (ErrorCode::BodyIncomplete, "the object was not copied before its reservation expired")
        }
        LanePut::Refused(ReserveStatus::TooLarge) => {
            (ErrorCode::TooLarge, "the object is larger than the daemon takes")
        }
        LanePut::Refused(ReserveStatus::NoSpace) => (
            ErrorCode::NoSpace,
            "only leased, quarantined and pending objects are left, or the arena is still being \
             populated",
        ),
        LanePut::Refused(_) => (ErrorCode::Unavailable, "the daemon is at a limit"),
    };
    let message = format!("{what}, key=`{key}` len=`{len}`");
    Err(Error::Refused { operation: "put", status: code.status(), code: Some(code), message })
}
