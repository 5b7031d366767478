//! HTTP as a backend: a call for each key, as many at a time as the client may make.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_http::{Client, Error, Lease, PutBody, PutOutcome, or_absent};
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::runtime::Handle;

use super::{
    super::{
        config::ConnectorConfig,
        notice::Notice,
        releases::{QueuedLease, Release, Releases},
        segment::Segment,
        terms::Terms,
        window::each,
    },
    api::{Answers, Backend, LeaseGuard, PartialAnswers},
};

/// How many keys a prefix look-up asks for first. A cold request, whose first key is missing, costs
/// no more than these.
const PREFIX_WINDOW_FIRST: usize = 8;

/// How many times more keys each further window has.
const PREFIX_WINDOW_GROWTH: usize = 4;

/// How many leases that were used are released at a time.
const RELEASE_TASKS_MAX: usize = 8;

/// Calls over HTTP. Objects are leased if the daemon's segment can be attached by its name.
#[derive(Debug)]
pub struct HttpBackend {
    pub(crate) client: Client,
    segment: Segment,
    releases: Arc<Releases<Lease>>,
    terms: Arc<Terms>,
}

/// Lease over HTTP, and the mapping that was attached before it was asked for.
#[derive(Debug)]
pub struct HttpLease {
    lease: QueuedLease<Lease>,
    attachment: Arc<Attachment>,
}

impl HttpBackend {
    /// A backend of its own, beside any connector.
    pub fn new(config: ConnectorConfig) -> Self {
        Self::with_terms(&Terms::new(config))
    }

    pub(crate) fn with_terms(terms: &Arc<Terms>) -> Self {
        Self {
            client: Client::new(terms.config.client.clone()),
            segment: Segment::default(),
            releases: Arc::new(Releases::new(RELEASE_TASKS_MAX)),
            terms: Arc::clone(terms),
        }
    }

    /// The oldest notice about the segment.
    pub(crate) fn take_notice(&self) -> Option<Notice> {
        self.segment.take_notice()
    }

    /// Waits until every release that was queued has been answered.
    pub(crate) async fn released(&self, poll: Duration) {
        self.releases.drained().await;
        while self.client.pending_releases() > 0 {
            tokio::time::sleep(poll).await;
        }
    }

    /// Closes the idle connections and unmaps the segment.
    pub(crate) fn release_resources(&self) {
        self.client.release_resources();
    }

    fn window(&self) -> usize {
        self.terms.config.client.requests_max
    }

    async fn lease(&self, key: &Key) -> Result<Option<QueuedLease<Lease>>, Error> {
        let (wait, ttl) = (self.terms.config.lease_wait, self.terms.config.lease_ttl);
        let Some(lease) = self.client.acquire(key, wait, ttl).await? else { return Ok(None) };
        // The guard comes first, so that a lease that is too long is released as well.
        let lease = self.releases.adopt(lease);
        Ok(self.terms.accepts(lease.len()).then_some(lease))
    }

    async fn exists_one(&self, key: &Key) -> Result<bool, Error> {
        if self.client.speaks_extensions() {
            let info = self.client.head(key).await?;
            let max = self.terms.config.lease_len_max;
            return Ok(info.is_some_and(|info| max.is_none_or(|max| info.len <= max)));
        }
        // The protocol's three calls have no other way to ask. The lease is released at once.
        Ok(or_absent(self.lease(key).await)?.is_some())
    }

    /// Looks a window of keys up side by side. The answers end with the first that is not `true`.
    async fn prefix_of(&self, keys: &[Key]) -> Answers<bool> {
        let first_end = AtomicUsize::new(keys.len());
        let mut answers = each(keys.iter().enumerate(), self.window(), async |(index, key)| {
            if index > first_end.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let exists = self.exists_one(key).await;
            if !matches!(exists, Ok(true)) {
                first_end.fetch_min(index, Ordering::Relaxed);
            }
            exists
        })
        .await;
        let end = answers.iter().position(|exists| !matches!(exists, Ok(true)));
        answers.truncate(end.map_or(keys.len(), |end| end + 1));
        answers
    }
}

impl Backend for HttpBackend {
    type Lease = Box<HttpLease>;

    async fn acquire(&self, keys: &[&Key]) -> Answers<Option<Box<HttpLease>>> {
        // Offsets mean bytes of the segment that the daemon had when it granted the lease, so the
        // mapping is taken before the lease is asked for.
        let Some(attachment) = self.segment.attach(&self.client) else { return Answers::new() };
        let leases = each(keys, self.window(), async |key| {
            let lease = self.lease(key).await?;
            let attachment = || Arc::clone(&attachment);
            Ok(lease.map(|lease| Box::new(HttpLease { lease, attachment: attachment() })))
        })
        .await;
        // Each answer tells which segment the leases are about.
        match self.segment.is_served(&self.client, &attachment) {
            true => leases,
            false => Answers::new(),
        }
    }

    async fn renew(&self, lease: &mut Box<HttpLease>, ttl: Duration) -> Result<bool, Error> {
        match lease.lease.deref_mut().renew(ttl).await {
            Ok(()) => Ok(true),
            Err(Error::LeaseEnded { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Releases go out by themselves.
    fn flush(&self) {}

    async fn exists(&self, keys: &[&Key]) -> Answers<bool> {
        each(keys, self.window(), |key| self.exists_one(key)).await
    }

    /// The keys are asked for in windows, each larger than the one before and all of it under way
    /// together; nothing behind the first miss is asked for once it is known.
    async fn count_prefix(&self, keys: &[Key]) -> Option<Result<usize, Error>> {
        let (mut count, mut window) = (0, PREFIX_WINDOW_FIRST);
        while count < keys.len() {
            let end = keys.len().min(count.saturating_add(window));
            for exists in self.prefix_of(&keys[count..end]).await {
                match exists {
                    Ok(true) => count += 1,
                    Ok(false) => return Some(Ok(count)),
                    Err(error) => return Some(Err(error)),
                }
            }
            window = window.saturating_mul(PREFIX_WINDOW_GROWTH);
        }
        Some(Ok(count))
    }

    async fn put(&self, objects: &mut [(&Key, PutBody)]) -> PartialAnswers<PutOutcome> {
        let put =
            async |(key, body): &mut (&Key, PutBody)| Some(self.client.put(key, body.take()).await);
        each(objects, self.window(), put).await
    }

    async fn remove(&self, keys: &[&Key]) -> Answers<bool> {
        each(keys, self.window(), async |key| match self.client.remove(key).await {
            Err(error) if error.is_unknown_call() => Ok(false),
            removed => removed,
        })
        .await
    }
}

impl Release for Lease {
    fn release_unawaited(&mut self) -> bool {
        self.release_unawaited()
    }

    async fn release(self) {
        // A failure is counted by the client.
        let _ = self.release().await;
    }
}

impl LeaseGuard for Box<HttpLease> {
    fn extents(&self) -> &[Extent] {
        self.lease.extents()
    }

    fn object_len(&self) -> ByteSize {
        self.lease.len()
    }

    fn checksum(&self) -> Option<Checksum> {
        self.lease.checksum()
    }

    fn generation(&self) -> Option<u64> {
        self.lease.generation()
    }

    fn deadline(&self) -> Instant {
        self.lease.deadline()
    }

    fn is_unexpired(&self) -> bool {
        self.lease.deref().is_live()
    }

    fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    fn runtime(&self) -> &Handle {
        self.lease.runtime()
    }

    /// Nothing: a daemon of another make may not renew at all, so a lease over HTTP is its holder's
    /// to renew.
    fn keep_alive(&self, _: Duration) {}
}
