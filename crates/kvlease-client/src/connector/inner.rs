//! What the clones of a connector and the objects that it opened share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_sys::process_id;
use kvlease_types::Key;
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    ConnectorConfig, OpenObject,
    copier::Copier,
    counters::Counters,
    grant::Grant,
    held::Held,
    leased::Leased,
    negotiation::Negotiation,
    object::Source,
    releases::{QueuedLease, Releases},
    segment::Segment,
    streamed::{KEPT_STREAMS_SHARE, Next, Streamed},
};
use crate::{Client, Error};

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) config: ConnectorConfig,
    pub(super) counters: Counters,
    pub(super) copier: Copier,
    pub(super) held: Held,
    pub(super) negotiation: Negotiation,
    pub(super) kept_streams: Arc<Semaphore>,
    pub(super) releases: Arc<Releases>,
    pub(super) segment: Segment,
    pub(super) closed: AtomicBool,
    pid: u32,
    /// How many reads are under way, from their beginning on.
    pub(super) reads: Arc<AtomicUsize>,
}

/// One read that is under way.
#[derive(Debug)]
pub(super) struct Reading(Arc<AtomicUsize>);

impl Reading {
    pub(super) fn new(reads: &Arc<AtomicUsize>) -> Self {
        reads.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(reads))
    }

    /// Whether there is no other one.
    pub(super) fn is_alone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    pub(super) fn new(config: ConnectorConfig) -> Self {
        let kept_streams = config.client.connections_max / KEPT_STREAMS_SHARE;
        Self {
            client: Client::new(config.client.clone()),
            counters: Counters::default(),
            copier: Copier::new(config.copy_threads),
            held: Held::default(),
            negotiation: Negotiation::default(),
            kept_streams: Arc::new(Semaphore::new(kept_streams.min(Semaphore::MAX_PERMITS))),
            releases: Arc::default(),
            segment: Segment::default(),
            closed: AtomicBool::new(false),
            pid: process_id(),
            reads: Arc::default(),
            config,
        }
    }

    /// Begins a call.
    pub(super) fn enter(&self) -> Result<(), Error> {
        self.demand_own_process()?;
        match self.closed.load(Ordering::Relaxed) {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Fails in a forked child: the connections and the leases are the parent's.
    pub(super) fn demand_own_process(&self) -> Result<(), Error> {
        match process_id() == self.pid {
            true => Ok(()),
            false => Err(Error::Forked),
        }
    }

    /// Finds an object and reads its head; counts what it found.
    pub(super) async fn open(
        self: &Arc<Self>,
        key: &Key,
        head_len: usize,
        next: Next,
    ) -> Result<Option<OpenObject>, Error> {
        if let Some(mut opened) = self.open_fast(std::slice::from_ref(key), head_len).await {
            return opened.pop().unwrap_or(Ok(None));
        }
        let mut opened = self.open_now(key, head_len, next).await;
        if matches!(opened, Err(Error::LeaseEnded { .. })) {
            self.counters.leases_ended.one();
            opened = self.open_now(key, head_len, next).await;
        }
        if let Ok(opened) = &opened {
            self.counters.found(opened.is_some());
        }
        opened
    }

    /// Finds an object again whose lease ended.
    pub(super) async fn open_once(
        self: &Arc<Self>,
        key: &Key,
        head_len: usize,
    ) -> Result<Option<OpenObject>, Error> {
        self.open_now(key, head_len, Next::ReadNow).await
    }

    async fn open_now(
        self: &Arc<Self>,
        key: &Key,
        head_len: usize,
        next: Next,
    ) -> Result<Option<OpenObject>, Error> {
        let reading = Reading::new(&self.reads);
        let (len, head, source) = match self.segment.attach(&self.client) {
            Some(attachment) => {
                let leased = match self.held.take(key) {
                    Some(leased) => Some(leased),
                    None => self.lease(key, attachment).await?,
                };
                let Some(mut leased) = leased else { return Ok(None) };
                let head = leased.read_head(key, head_len)?;
                (leased.lease.len(), head, Source::Leased(leased))
            }
            None => {
                self.counters.http_reads.one();
                let streamed = Streamed::open(self, key, head_len, next).await?;
                let Some((len, head, streamed)) = streamed else { return Ok(None) };
                (len, head, Source::Streamed(Box::new(streamed)))
            }
        };
        let (inner, key) = (Arc::clone(self), key.clone());
        Ok(Some(OpenObject { inner, key, len, head, source, reading }))
    }

    /// Leases an object of this segment, which was attached before the lease is asked for.
    async fn lease(&self, key: &Key, attachment: Arc<Attachment>) -> Result<Option<Leased>, Error> {
        let Some(lease) = self.any_lease(key).await? else { return Ok(None) };
        Leased::new(key, Grant::Http(Box::new(lease)), attachment).map(Some)
    }

    /// Leases an object that is not too large.
    async fn any_lease(&self, key: &Key) -> Result<Option<QueuedLease>, Error> {
        let (wait, ttl) = (self.config.lease_wait, self.config.lease_ttl);
        let Some(lease) = self.client.lease(key, wait, ttl).await? else { return Ok(None) };
        let lease = self.releases.adopt(lease);
        if self.config.lease_len_max.is_some_and(|max| lease.len() > max) {
            self.counters.too_large.one();
            return Ok(None);
        }
        Ok(Some(lease))
    }

    /// Whether an object exists, without counting. A lease is given back at once.
    pub(super) async fn exists(&self, key: &Key) -> Result<bool, Error> {
        if let Some(found) = self.exists_fast(std::slice::from_ref(key), false).await {
            return Ok(found == [true]);
        }
        if self.client.speaks_extensions() {
            let info = self.client.head(key).await?;
            let small = |len| self.config.lease_len_max.is_none_or(|max| len <= max);
            return Ok(info.is_some_and(|info| small(info.len)));
        }
        Ok(self.any_lease(key).await?.is_some())
    }

    /// Whether an object exists; if so its lease is held for the read that follows.
    pub(super) async fn hold(self: &Arc<Self>, key: &Key) -> Result<bool, Error> {
        if self.held.again(key, self.config.lease_retention) {
            return Ok(true);
        }
        let Some(attachment) = self.segment.attach(&self.client) else {
            return self.exists(key).await;
        };
        let asked = Instant::now();
        let Some(leased) = self.lease(key, attachment).await? else { return Ok(false) };
        self.held.put(self, key, leased, asked);
        Ok(true)
    }

    /// Counts what a read came to.
    pub(super) fn count_read(&self, len: usize, read: Result<(), Error>) -> Result<(), Error> {
        match &read {
            Ok(()) => self.counters.bytes_read.add(len as u64),
            Err(Error::LeaseEnded { .. }) => self.counters.leases_ended.one(),
            Err(Error::Damaged { .. }) => self.counters.damaged.one(),
            Err(_) => {}
        }
        read
    }

    /// Removes an object whose bytes are damaged, so that it is not met again, if the daemon can.
    pub(super) fn remove_damaged(self: &Arc<Self>, key: &Key, runtime: &Handle) {
        // Best effort: whoever meets it again finds it damaged again.
        let (inner, key) = (Arc::clone(self), key.clone());
        if let Some(lane) = self.negotiation.open_lane() {
            let limit = self.config.client.timeouts.call;
            runtime.spawn(async move { lane.remove(&[key], limit).await });
        } else if self.client.speaks_extensions() {
            runtime.spawn(async move { inner.client.remove(&key).await });
        }
    }

    /// How long closing may take.
    pub(super) fn close_limit(&self) -> Duration {
        self.config.client.timeouts.call
    }
}
