//! The fast lane as a backend: a frame for a whole batch. Its puts are in a file of their own.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::ErrorCode;
use kvlease_attach::Attachment;
use kvlease_http::{Error, PutBody, PutOutcome, or_absent};
use kvlease_lane::{AcquireOutcome, Lane, LaneError, LaneLease, LaneRemoval};
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::runtime::Handle;

use super::{
    super::{config::ConnectorConfig, copier::Copier, terms::Terms},
    api::{Answers, Backend, LeaseGuard, PartialAnswers},
};

/// Calls over an open lane. A lane that breaks leaves the rest of a batch unanswered. A daemon that
/// does not answer in time would not do so over HTTP either: then the rest is answered by time-outs.
#[derive(Debug)]
pub struct LaneBackend {
    pub(super) lane: Lane,
    terms: Arc<Terms>,
    pub(super) copier: Arc<Copier>,
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

    /// The lane.
    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Time limit of a call.
    pub(super) fn limit(&self) -> Duration {
        self.terms.config.client.timeouts.call
    }

    /// The lease, unless the key is a miss or its object too large.
    fn accept(&self, outcome: AcquireOutcome) -> Option<LaneLease> {
        match outcome {
            AcquireOutcome::Leased(lease) => self.terms.accepts(lease.len()).then_some(lease),
            AcquireOutcome::StillWriting | AcquireOutcome::Absent | AcquireOutcome::Full => None,
        }
    }

    /// The same as an answer, in which an object that has not come yet is no miss.
    fn answer(&self, key: &Key, outcome: AcquireOutcome) -> Result<Option<LaneLease>, Error> {
        match outcome {
            AcquireOutcome::StillWriting => Err(Error::StillWriting { key: key.clone() }),
            outcome => Ok(self.accept(outcome)),
        }
    }

    /// Answers to keys that a call over the lane failed for: time-outs, or none at all if the next
    /// backend is to be asked.
    pub(super) fn failed<T>(
        &self,
        error: &LaneError,
        operation: &'static str,
        keys: usize,
    ) -> Answers<T> {
        let LaneError::TimedOut { limit, .. } = error else { return Answers::new() };
        let address = &self.terms.config.client.address;
        let timed_out = || {
            let address = address.clone();
            Error::TimedOut { operation, request_id: None, limit: *limit, address }
        };
        (0..keys).map(|_| Err(timed_out())).collect()
    }
}

impl Backend for LaneBackend {
    type Lease = LaneLease;

    async fn acquire(&self, keys: &[&Key]) -> Answers<Option<LaneLease>> {
        let ConnectorConfig { lease_wait, lease_ttl, client, .. } = &self.terms.config;
        let limit = client.timeouts.lease(*lease_wait);
        match self.lane.acquire(keys, false, *lease_wait, *lease_ttl, limit).await {
            Ok(outcomes) => {
                let outcomes = keys.iter().zip(outcomes);
                outcomes.map(|(key, outcome)| self.answer(key, outcome)).collect()
            }
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
            return leased.map(|lease| Ok(or_absent(lease)?.is_some())).collect();
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

    async fn put(&self, objects: &mut [(&Key, PutBody)]) -> PartialAnswers<PutOutcome> {
        if !self.lane.is_writable() {
            return objects.iter().map(|_| None).collect();
        }
        self.put_in_memory(objects).await
    }

    async fn remove(&self, keys: &[&Key]) -> Answers<bool> {
        match self.lane.remove(keys, self.limit()).await {
            Ok(removed) => {
                let outcomes = keys.iter().zip(removed);
                outcomes.map(|(key, outcome)| removal(outcome, key)).collect()
            }
            Err(error) => self.failed(&error, "remove", keys.len()),
        }
    }
}

/// The answer that HTTP gives to the removal of an object that is being written. The lane does not tell whether it is
/// that, or whether a tier may have the object still.
fn removal(outcome: LaneRemoval, key: &Key) -> Result<bool, Error> {
    match outcome {
        LaneRemoval::Removed => Ok(true),
        LaneRemoval::Absent => Ok(false),
        LaneRemoval::Again => {
            let code = ErrorCode::Exists;
            let message = format!(
                "the object is being written, or a tier may have it still: remove it again, key=`{key}`"
            );
            let (status, code) = (code.status(), Some(code));
            Err(Error::Refused { operation: "remove", status, code, message, request_id: None })
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
