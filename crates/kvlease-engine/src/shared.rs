//! State that the engine shares with its guards and its threads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, ArenaError, Generations, LinkStatus, ManifestFile, PublishedIndex};
use kvlease_cache::Catalog;
use kvlease_types::{BucketName, ByteSize, Epoch};

use crate::{
    capture::Capture,
    clock::now,
    config::EngineConfig,
    counters::{Counters, CountersSnapshot},
    curve::Curve,
    error::StartError,
    events::Hub,
    expiring::with_ttl,
    held_space::SpaceBudget,
    log_limit::LogLimit,
    open_reservations::OpenReservations,
    policy::PolicyInForce,
    readers::Readers,
    recovery::{Recovery, RestoredName, recover},
    report_queue::Reports,
    room_signal::RoomSignal,
    state::State,
    tiers::Tiers,
};

/// Time between two lines on refused leases, and between two on refused reservations.
const REFUSALS_LOG_PAUSE: Duration = Duration::from_secs(10);

/// Catalog, arena and the tables beside them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) arena: Arena,
    pub(crate) config: EngineConfig,
    pub(crate) counters: Arc<Counters>,
    /// Record of the objects, for the next start.
    pub(crate) manifest: Arc<ManifestFile>,
    pub(crate) generations: Arc<Generations>,
    /// Where the objects are, for readers that make no call.
    pub(crate) index: Arc<PublishedIndex>,
    /// Whether the kernel gave huge pages for what is populated. Kept, since finding out walks the
    /// page tables.
    pub(crate) huge_pages: AtomicBool,
    /// Space of uploads whose bytes have not come yet.
    pub(crate) unfilled: Arc<SpaceBudget>,
    /// Reservations that are open.
    pub(crate) reserved: Arc<OpenReservations>,
    /// Space of spare reservations.
    pub(crate) spare: Arc<SpaceBudget>,
    /// Of the lines that say that reservations are refused.
    pub(crate) refused_reservations: LogLimit,
    /// Of the lines that say that leases are refused.
    pub(crate) refused_leases: LogLimit,
    /// Whether the public name was another file's when it was looked at last.
    pub(crate) name_taken: AtomicBool,
    /// Wakes eviction ahead of need.
    pub(crate) room: Arc<RoomSignal>,
    /// Reports of clients about corrupt objects.
    pub(crate) reports: Reports,
    /// Subscribers to what is published and unpublished.
    pub(crate) events: Hub,
    /// Record of the stream of requests.
    pub(crate) capture: Option<Capture>,
    /// Live curve, if there is one.
    pub(crate) curve: Option<Curve>,
    /// Since when the eviction policy is in force, and why.
    pub(crate) policy: PolicyInForce,
    /// Tiers below the arena.
    pub(crate) tiers: Arc<Tiers>,
    /// Number of the last change that the required readers have applied.
    pub(crate) applied: AtomicU64,
    /// Locked before the state if both are.
    pub(crate) readers: Mutex<Readers>,
    /// To be locked with [`state`](Self::state).
    pub(crate) state: Mutex<State>,
}

impl Shared {
    /// Takes the arena with what an earlier incarnation stored, and makes its first part usable. Returns
    /// the retained objects that were taken over as well.
    pub(crate) fn open(
        arena: Arena,
        config: EngineConfig,
        epoch: Epoch,
    ) -> Result<(Arc<Self>, Recovery, Vec<RestoredName>), StartError> {
        // Before the first byte is written: readers of an earlier incarnation hold no lease.
        arena.incarnation().begin(epoch);
        let mut catalog = Catalog::new(config.catalog.clone(), epoch);
        let slots = catalog.slots_max().into();
        let generations = Arc::new(Generations::create(slots).map_err(StartError::Generations)?);
        let index = PublishedIndex::create(slots, config.index_key);
        let index = Arc::new(index.map_err(StartError::Index)?);
        let counters = Arc::new(Counters::default());
        let capture = config.capture.clone().map(|config| Capture::begin(config, &counters));
        let capture = capture.transpose()?;
        let started = Instant::now();
        // The old manifest is read before the new one takes its place.
        let stored = arena.stored_manifest()?;
        let manifest = arena.new_manifest(config.catalog.memory_max)?;
        let manifest_file = Arc::clone(manifest.file());
        let tiers = Arc::new(Tiers::new(config.tiers.clone()));
        tiers.leave_out(with_ttl(&catalog.bucket_policies()));
        let mut readers = Readers::new(
            Arc::clone(&generations),
            (Arc::clone(&index), config.index_left_out.clone()),
            manifest,
            Arc::clone(&counters),
            Arc::clone(&tiers),
        );
        let (recovery, retained) =
            recover(&arena, &stored, &mut catalog, &mut readers, config.cold, started);
        drop(stored);
        arena.publish_manifest()?;
        // What an earlier incarnation populated can be used at once.
        let mut huge_pages = false;
        if arena.populated() == ByteSize::ZERO {
            arena.populate_next()?;
            huge_pages = arena.huge_pages_granted();
        }
        catalog.grow(arena.populated());
        let curve = config.curve.as_ref().map(Curve::new);
        curve.iter().for_each(|curve| catalog.watch_references(curve.hash_max()));
        let shared = Self {
            arena,
            events: Hub::new(config.events_memory_max),
            config,
            counters,
            manifest: manifest_file,
            generations,
            index,
            huge_pages: AtomicBool::new(huge_pages),
            unfilled: Arc::default(),
            reserved: Arc::default(),
            spare: Arc::default(),
            refused_reservations: LogLimit::new(REFUSALS_LOG_PAUSE),
            refused_leases: LogLimit::new(REFUSALS_LOG_PAUSE),
            name_taken: AtomicBool::new(false),
            room: Arc::default(),
            reports: Reports::default(),
            capture,
            curve,
            policy: PolicyInForce::first(now()),
            tiers,
            applied: AtomicU64::new(catalog.last_change()),
            readers: Mutex::new(readers),
            state: Mutex::new(State::new(catalog)),
        };
        Ok((Arc::new(shared), recovery, retained))
    }

    /// Checks the public name of the segment, and counts and logs when it had to be put back.
    pub(crate) fn keep_linked(&self) -> Result<LinkStatus, ArenaError> {
        let link = self.arena.keep_linked();
        self.name_taken.store(matches!(link, Ok(LinkStatus::Taken)), Relaxed);
        if matches!(link, Ok(LinkStatus::Restored)) {
            self.counters.relinks.increment();
            tracing::warn!("the segment's public name was gone: put it back, same inode");
        }
        link
    }

    /// Lowers the lease fence if no client reads or writes in the arena any more, so that the next
    /// daemon can use all of it at once. The lock keeps grants from coming between.
    pub(crate) fn lower_fence_if_idle(&self) {
        let (state, now) = (self.state(), now());
        if state.catalog.stats(now).is_idle() {
            self.arena.lease_fence().lower(now);
        }
    }

    /// The largest object of a bucket. Retained ones have a quota in place of this limit.
    pub(crate) fn len_max(&self, bucket: &BucketName) -> ByteSize {
        if bucket.is_retained() { self.arena.capacity() } else { self.config.object_len_max }
    }

    /// Time to live that is granted to a caller that asks for `requested`.
    pub(crate) fn granted_ttl(&self, requested: Option<Duration>) -> Duration {
        requested.unwrap_or(self.config.lease_ttl_default).min(self.config.lease_ttl_max)
    }

    pub(crate) fn counts(&self) -> CountersSnapshot {
        self.counters.snapshot()
    }

    pub(crate) fn is_name_taken(&self) -> bool {
        self.name_taken.load(Relaxed)
    }

    pub(crate) fn has_huge_pages(&self) -> bool {
        self.huge_pages.load(Relaxed)
    }
}
