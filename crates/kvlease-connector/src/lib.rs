//! The connector: many objects at a time, within limits, on top of the client's single calls.
//!
//! * Of a batch, as many calls are under way together as
//!   [`requests_max`](kvlease_http::ClientConfig::requests_max) allows; the answers come in the order of
//!   the keys.
//! * Reads copy from shared memory under a lease, on this connector's own threads if they are
//!   large; without shared memory they go over HTTP.
//! * Nothing is kept without a bound: not leases for later, not open streams, not copies.
//!
//! Only three calls are needed of a daemon: put, lease, release. What else ours can do is used once
//! it was seen to be ours.

#![forbid(unsafe_code)]

pub mod backend;
mod backends;
pub mod blocking;
mod config;
mod context;
mod copier;
mod counters;
mod destination;
mod get;
mod groups;
mod in_place;
mod lane_manager;
mod lease;
mod lease_cache;
mod leased_read;
mod lookup;
#[cfg(test)]
mod models;
mod notice;
mod object;
mod open;
mod posts;
mod put;
mod releases;
mod rounds;
mod segment;
mod streamed;
mod sync;
mod terms;
mod view;
mod window;

pub use config::{ConnectorConfig, SocketChoice};
pub use counters::ConnectorStats;
pub use destination::Destination;
pub use in_place::ReservedSpace;
pub use lease_cache::CACHED_LEASES_MAX;
pub use notice::{Notice, Severity};
pub use object::OpenObject;
pub use posts::{POST_ERRORS_MAX, PostReport, Posts};
pub use view::View;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kvlease_api::{ListedObject, ListedTiers, UnansweredTier};
use kvlease_http::Error;
use kvlease_sys::OfProcess;

use self::{
    backend::Answers, backends::Backends, context::ReadContext, copier::Copier,
    lease_cache::LeaseCache, terms::Terms,
};

/// The most objects of a listing: what a reply of some hundred megabytes holds.
pub const LISTED_OBJECTS_MAX: usize = 1_000_000;

/// How often a closing connector looks for the answers to its last releases.
const DRAIN_POLL: Duration = Duration::from_millis(1);

/// Stores, finds and reads objects, each call for one or for many. Clones share everything.
///
/// Batches answer for each key on its own and in the order of the keys.
#[derive(Clone, Debug)]
pub struct Connector {
    inner: Arc<Inner>,
}

/// The parts of a connector.
#[derive(Debug)]
struct Inner {
    terms: Arc<Terms>,
    backends: Arc<Backends>,
    reads: Arc<ReadContext>,
    cache: Arc<LeaseCache>,
    closed: AtomicBool,
    /// The process that connections, leases and threads belong to.
    process: OfProcess<()>,
}

impl Connector {
    /// A connector that has not connected yet, nor attached to the segment: a daemon or a segment
    /// that is missing is noticed by the calls.
    pub fn new(config: ConnectorConfig) -> Self {
        let (copy_threads, retention) = (config.copy_threads, config.lease_retention);
        let terms = Terms::new(config);
        let copier = Arc::new(Copier::new(copy_threads));
        let backends = Arc::new(Backends::new(&terms, &copier));
        let flushed = Arc::clone(&backends);
        let cache = LeaseCache::new(retention, move || flushed.flush());
        let reads = ReadContext::new(&terms, &copier, &backends, &cache);
        let (closed, process) = (AtomicBool::new(false), OfProcess::new(()));
        Self { inner: Arc::new(Inner { terms, backends, reads, cache, closed, process }) }
    }

    /// The settings that the connector was made with.
    pub fn config(&self) -> &ConnectorConfig {
        &self.inner.terms.config
    }

    /// The counters of the connector.
    pub fn stats(&self) -> ConnectorStats {
        let Inner { terms, backends, cache, .. } = &*self.inner;
        let client = backends.http.client.counters();
        terms.counters.snapshot(&client, backends.lane_leases(), cache.len())
    }

    /// The objects of the bucket whose keys start with `prefix`, [`LISTED_OBJECTS_MAX`] at most: those
    /// in memory and on the node's disk, by key. None from a daemon that keeps no listing.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Closed`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, Error> {
        self.ensure_open()?;
        let client = &self.inner.backends.http.client;
        let listed = client.list_all(prefix, ListedTiers::Local, LISTED_OBJECTS_MAX).await;
        let listing = match listed {
            Err(error) if error.is_unknown_call() => return Ok(Vec::new()),
            listing => listing?,
        };
        for UnansweredTier { tier, reason } in &listing.unanswered {
            tracing::warn!(tier, reason, "a listing lacks what only this tier of the daemon has");
        }
        Ok(listing.objects)
    }

    /// Whether the daemon answers at all.
    ///
    /// # Errors
    ///
    /// Those of any call; a refusal is an answer, as is that there is no such path.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ensure_open()?;
        self.inner.backends.http.client.ping().await
    }

    /// Waits for the answers to posted puts, releases the connector's leases and waits for that, each at
    /// most as long as a call may take; then closes its connections and unmaps the segment. Calls that are
    /// under way go on; later ones fail, but for a [flush](Posts::flush), which tells of the posted puts.
    pub async fn close(&self) {
        let Inner { terms, backends, cache, closed, .. } = &*self.inner;
        closed.store(true, Ordering::Relaxed);
        drop(cache.take_all());
        // What did not come in time is told by the flush of its handle.
        let _ = backends.flush_posted().await;
        // Best effort: what is not released in time ends by its time to live.
        let released = backends.http.released(DRAIN_POLL);
        let _ = tokio::time::timeout(terms.config.client.timeouts.call, released).await;
        backends.release_resources();
    }

    /// Whether calls go over the daemon's fast lane at this moment.
    pub fn is_fast(&self) -> bool {
        self.inner.backends.is_fast()
    }

    /// The oldest notice for the operator that was not taken: which way to the daemon is used from
    /// now on, and the remedy if that is the slower one. `None` if there is none.
    ///
    /// The same is an event of `tracing`; this is for programs that log otherwise.
    pub fn take_notice(&self) -> Option<Notice> {
        self.inner.backends.take_notice()
    }

    /// Fails in a forked child, which has none of the threads that do the work.
    pub(crate) fn ensure_own_process(&self) -> Result<(), Error> {
        self.inner.process.get().copied().ok_or(Error::Forked)
    }

    /// Begins a call.
    fn ensure_open(&self) -> Result<(), Error> {
        self.ensure_own_process()?;
        if self.inner.closed.load(Ordering::Relaxed) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The answers to a batch if no call can be made: an error for each key.
    fn refused<T>(&self, keys: usize) -> Option<Answers<T>> {
        self.ensure_open().err()?;
        let error = || self.ensure_open().err().unwrap_or(Error::Closed);
        Some((0..keys).map(|_| Err(error())).collect())
    }

    /// How many calls of a batch are under way at a time.
    fn window(&self) -> usize {
        self.config().client.requests_max
    }
}
