//! Context of reads.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kvlease_http::{Error, check_sum};
use kvlease_types::{Checksum, Key};
use tokio::sync::Semaphore;

use super::{
    backends::Backends, copier::Copier, lease::Lease, lease_cache::LeaseCache, terms::Terms,
};

/// One of how many connections may be kept by open objects.
const KEPT_STREAMS_SHARE: usize = 2;

/// Context of a connector's reads.
#[derive(Debug)]
pub(super) struct ReadContext {
    pub(super) terms: Arc<Terms>,
    pub(super) copier: Arc<Copier>,
    pub(super) backends: Arc<Backends>,
    pub(super) cache: Arc<LeaseCache>,
    /// Permits for open objects that keep a stream over HTTP.
    pub(super) kept_streams: Arc<Semaphore>,
    /// How many reads are under way, from their beginning on.
    reads: AtomicUsize,
}

/// One read that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) context: Arc<ReadContext>,
}

impl ReadContext {
    pub(super) fn new(
        terms: &Arc<Terms>,
        copier: &Arc<Copier>,
        backends: &Arc<Backends>,
        cache: &Arc<LeaseCache>,
    ) -> Arc<Self> {
        let kept_streams = terms.config.client.connections_max / KEPT_STREAMS_SHARE;
        Arc::new(Self {
            terms: Arc::clone(terms),
            copier: Arc::clone(copier),
            backends: Arc::clone(backends),
            cache: Arc::clone(cache),
            kept_streams: Arc::new(Semaphore::new(kept_streams.min(Semaphore::MAX_PERMITS))),
            reads: AtomicUsize::new(0),
        })
    }

    /// Begins a read.
    pub(super) fn begin(self: &Arc<Self>) -> Reading {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Reading { context: Arc::clone(self) }
    }

    /// Decides whether bytes that were read under a lease count. `actual` is their checksum, if the
    /// daemon sends one. Bytes that do not match are reported.
    pub(super) fn judge(
        &self,
        key: &Key,
        lease: &Lease,
        actual: Option<Checksum>,
    ) -> Result<(), Error> {
        lease.ensure_live(key)?;
        let Some(actual) = actual else { return Ok(()) };
        let checked = check_sum(key, lease.checksum(), actual);
        if checked.is_err() {
            self.backends.report_corrupt(key, lease.generation(), lease.runtime());
        }
        checked
    }

    /// Counts the outcome of a read.
    pub(super) fn count(&self, len: usize, read: Result<(), Error>) -> Result<(), Error> {
        let counters = &self.terms.counters;
        match &read {
            Ok(()) => counters.bytes_read.add(len as u64),
            Err(Error::LeaseEnded { .. }) => counters.leases_ended.one(),
            Err(Error::Corrupt { .. }) => counters.corrupt.one(),
            Err(_) => {}
        }
        read
    }
}

impl Reading {
    /// Whether no other read is under way.
    pub(super) fn is_alone(&self) -> bool {
        self.context.reads.load(Ordering::Relaxed) == 1
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.context.reads.fetch_sub(1, Ordering::Relaxed);
    }
}
