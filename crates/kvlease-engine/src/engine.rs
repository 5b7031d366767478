//! The engine: one handle for everything that HTTP asks for.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, ArenaError, Generations, LinkStatus, ManifestFile};
use kvlease_cache::{
    BucketInfo, Catalog, CatalogStats, Lease, ListCursor, ObjectInfo, Released, Removed,
};
use kvlease_types::{BucketName, ByteSize, Epoch, Key, LeaseId, Timestamp};
use tokio::time::timeout;

use crate::{
    cells::Cells,
    clock::now,
    config::EngineConfig,
    counters::{Counters, CountersSnapshot},
    error::{LeaseRefused, PutError, RemoveRefused, StartError},
    lease::LeaseGuard,
    maintenance::Maintenance,
    put::Put,
    read::Read,
    recovery::{Recovery, recover},
    reservation::Reservation,
    state::{State, Unavailable},
};

/// The cache of one node: the catalog, the arena, and the threads that look after them.
///
/// Dropping the engine stops those threads and waits for them. Guards ([`Put`], [`Reservation`],
/// [`LeaseGuard`], [`Read`]) may outlive it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    maintenance: Maintenance,
    recovery: Recovery,
}

/// What the engine, its guards and its threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) arena: Arena,
    pub(crate) config: EngineConfig,
    pub(crate) counters: Arc<Counters>,
    /// Where objects are recorded for the next start.
    pub(crate) record: Arc<ManifestFile>,
    generations: Arc<Generations>,
    /// Whether the kernel gave huge pages for what is populated. Kept, since finding out walks the
    /// page tables.
    pub(crate) huge_pages: AtomicBool,
    state: Mutex<State>,
}

/// The state of the engine in numbers.
#[derive(Clone, Debug)]
pub struct EngineStats {
    /// What the catalog knows.
    pub catalog: CatalogStats,
    /// What the engine counts by itself.
    pub counters: CountersSnapshot,
    /// Whether the kernel gives the arena huge pages.
    pub huge_pages: bool,
    /// What this incarnation took over from the one before it.
    pub recovery: Recovery,
}

impl Engine {
    /// Takes the arena with the objects that an earlier incarnation recorded, makes its first part
    /// usable, and goes on with the rest in the background. Fails when not even the first part can
    /// be had.
    pub fn start(arena: Arena, config: EngineConfig, epoch: Epoch) -> Result<Self, StartError> {
        let (shared, recovery) = Shared::open(arena, config, epoch)?;
        Ok(Self { maintenance: Maintenance::start(&shared)?, shared, recovery })
    }

    /// Starts to store an object. `len` is its length if it is known beforehand.
    pub fn put(
        &self,
        bucket: BucketName,
        key: Key,
        len: Option<ByteSize>,
    ) -> Result<Put, PutError> {
        Put::begin(&self.shared, bucket, key, len)
    }

    /// Takes space that one client writes one object of `len` bytes into, by itself.
    pub fn reserve(
        &self,
        bucket: BucketName,
        key: Key,
        len: ByteSize,
    ) -> Result<Reservation, PutError> {
        Reservation::make(&self.shared, bucket, key, len)
    }

    /// Leases an object for `ttl`, or for the default time. If it is being written, waits up to
    /// `wait` for that to end; otherwise answers at once.
    pub async fn lease(
        &self,
        bucket: &str,
        key: &str,
        ttl: Option<Duration>,
        wait: Duration,
    ) -> Result<LeaseGuard, LeaseRefused> {
        let ttl = self.shared.granted_ttl(ttl);
        let started = Instant::now();
        let mut waited = false;
        let result = loop {
            let mut sealed = match self.shared.acquire(bucket, key, ttl) {
                Ok(lease) if self.shared.vouches_for(lease.lease()) => break Ok(lease),
                Ok(_) => break Err(LeaseRefused::Absent { evicted: false }),
                Err(Unavailable::Writing(sealed)) => sealed,
                Err(unavailable) => break Err(unavailable.into()),
            };
            waited = true;
            let left = wait.saturating_sub(started.elapsed());
            if timeout(left, sealed.changed()).await.is_err() {
                break Err(LeaseRefused::StillWriting { waited: wait });
            }
        };
        if waited {
            self.count_wait(started.elapsed());
        }
        result
    }

    /// Counts a wait for a writer, for who waits on behalf of [`Leased::Writing`](crate::Leased).
    pub fn count_wait(&self, span: Duration) {
        self.shared.counters.waited(span);
    }

    /// Starts to read an object out of the arena; `None` if it is absent or being written.
    pub fn read(&self, bucket: &str, key: &str) -> Result<Read, LeaseRefused> {
        match self.shared.acquire(bucket, key, self.shared.config.lease_ttl_max) {
            Ok(lease) => Ok(Read::new(lease)),
            Err(unavailable) => Err(unavailable.into()),
        }
    }

    /// Ends a lease. Returns how long it was held, or `None` if it was not live.
    pub fn release(&self, id: LeaseId) -> Option<Duration> {
        match self.shared.state().catalog.release(id, now()) {
            Released::Released { held } => Some(held),
            Released::Unknown => None,
        }
    }

    /// Extends a live lease. Returns the time to live that was granted, or `None` if the lease is
    /// not live.
    pub fn renew(&self, id: LeaseId, ttl: Option<Duration>) -> Option<Duration> {
        let ttl = self.shared.granted_ttl(ttl);
        self.shared.renew(id, ttl).then_some(ttl)
    }

    /// What is known of an object; `None` if it is absent or being written.
    pub fn stat(&self, bucket: &str, key: &str) -> Option<ObjectInfo> {
        self.shared.state().catalog.stat(bucket, key)
    }

    /// Removes an object. Leases on it stay good until they end.
    pub fn remove(&self, bucket: &str, key: &str) -> Result<(), RemoveRefused> {
        match self.shared.state().catalog.remove(bucket, key) {
            Removed::Removed => Ok(()),
            Removed::BeingWritten => Err(RemoveRefused::BeingWritten),
            Removed::Absent => Err(RemoveRefused::Absent),
        }
    }

    /// One page of a bucket's listing, and where the next one starts. The catalog is unlocked
    /// again and again on the way, so that a long listing holds nobody up.
    pub fn list(
        &self,
        bucket: &str,
        prefix: &str,
        mut cursor: ListCursor,
        limit: usize,
    ) -> (Vec<ObjectInfo>, Option<ListCursor>) {
        let mut objects = Vec::new();
        while objects.len() < limit {
            let wanted = limit - objects.len();
            let (page, next) = self.shared.state().catalog.list(bucket, prefix, cursor, wanted);
            objects.extend(page);
            match next {
                Some(next) => cursor = next,
                None => return (objects, None),
            }
        }
        (objects, Some(cursor))
    }

    /// Totals of each bucket.
    pub fn buckets(&self) -> Vec<BucketInfo> {
        self.shared.state().catalog.buckets()
    }

    /// The state of the engine in numbers.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            catalog: self.shared.state().catalog.stats(now()),
            counters: self.shared.counters.snapshot(),
            huge_pages: self.shared.huge_pages.load(Relaxed),
            recovery: self.recovery,
        }
    }

    /// The arena as an open file of its own to be passed to a client, who can write with it only
    /// if it is `writable`.
    pub fn arena_descriptor(&self, writable: bool) -> io::Result<OwnedFd> {
        self.shared.arena.share(writable)
    }

    /// The table in which readers of other processes see what every slot holds.
    pub fn generations(&self) -> &Generations {
        &self.shared.generations
    }

    /// Looks after the public name of the segment now. Returns whether clients can attach.
    pub fn is_attachable(&self) -> bool {
        matches!(self.shared.keep_linked(), Ok(LinkStatus::Intact | LinkStatus::Restored))
    }

    /// Stops the threads in the background and waits for them.
    pub fn stop(&self) {
        self.maintenance.stop();
    }
}

impl Shared {
    /// Takes the arena with what an earlier incarnation recorded, and makes its first part usable.
    pub(crate) fn open(
        arena: Arena,
        config: EngineConfig,
        epoch: Epoch,
    ) -> Result<(Arc<Self>, Recovery), StartError> {
        let mut catalog = Catalog::new(config.catalog.clone(), epoch);
        let slots = catalog.slots_max().into();
        let generations = Arc::new(Generations::create(slots).map_err(StartError::Generations)?);
        let counters = Arc::new(Counters::default());
        let started = Instant::now();
        let recorded = arena.stored_manifest()?;
        let record = arena.new_manifest(config.catalog.memory_max)?;
        let record_file = Arc::clone(record.file());
        catalog.watch_slots(Box::new(Cells {
            generations: Arc::clone(&generations),
            record,
            counters: Arc::clone(&counters),
        }));
        let recovery = recover(&arena, &recorded, &mut catalog, config.cold, started);
        drop(recorded);
        arena.publish_manifest()?;
        // What an earlier incarnation populated can be used at once.
        let mut huge_pages = false;
        if arena.populated() == ByteSize::ZERO {
            arena.populate_next()?;
            huge_pages = arena.huge_pages_granted();
        }
        catalog.grow(arena.populated());
        let state = Mutex::new(State::new(catalog));
        let huge_pages = AtomicBool::new(huge_pages);
        let shared =
            Self { arena, config, counters, record: record_file, generations, huge_pages, state };
        Ok((Arc::new(shared), recovery))
    }

    /// Leases an object if that is there now.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        ttl: Duration,
    ) -> Result<LeaseGuard, Unavailable> {
        let lease = self.state().acquire(bucket, key, ttl, now())?;
        Ok(LeaseGuard::new(self, lease, ttl))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the process, so nobody meets a poisoned catalog")
    }

    /// Looks after the public name of the segment; counts and tells when it had to be put back.
    pub(crate) fn keep_linked(&self) -> Result<LinkStatus, ArenaError> {
        let link = self.arena.keep_linked();
        if matches!(link, Ok(LinkStatus::Restored)) {
            self.counters.relinked();
            tracing::warn!("the segment's public name was gone: put it back, same inode");
        }
        link
    }

    /// Before anyone can be told of a lease, the horizon learns until when its extents must not be
    /// reused, even by another incarnation of the daemon.
    pub(crate) fn note_lease(&self, lease: &Lease) {
        let until = lease.deadline.after(self.config.catalog.lease_grace);
        self.arena.lease_fence().raise(&lease.extents, until);
    }

    pub(crate) fn renew(&self, id: LeaseId, ttl: Duration) -> bool {
        let mut state = self.state();
        self.renew_in(&mut state, id, ttl, now())
    }

    /// Renews one lease while the catalog is locked.
    pub(crate) fn renew_in(
        &self,
        state: &mut State,
        id: LeaseId,
        ttl: Duration,
        now: Timestamp,
    ) -> bool {
        let Some(extents) = state.catalog.leased_extents(id, now) else { return false };
        // Noted under the lock: were the lease to end in between, another tenant's extents would
        // be marked.
        self.arena.lease_fence().raise(&extents, now.after(ttl + self.config.catalog.lease_grace));
        state.catalog.renew(id, ttl, now).is_some()
    }

    pub(crate) fn granted_ttl(&self, wish: Option<Duration>) -> Duration {
        wish.unwrap_or(self.config.lease_ttl_default).min(self.config.lease_ttl_max)
    }
}
