//! One arena of the daemon that was taken: first without an engine, then with one.

use std::{
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::Arc,
};

use kvlease_arena::{Arena, Beyond, MemoryLimits, SegmentOptions, Undo};
use kvlease_cache::{CatalogConfig, CurveConfig};
use kvlease_engine::{COPIES_WAIT_MAX_DEFAULT, Engine, EngineConfig, TierConfig};
use kvlease_sys::{FingerprintKey, boot_time, boot_time_shift_nanos};
use kvlease_types::{ByteSize, Epoch};
use tokio::net::UnixListener;

use crate::{
    answer_times, capture,
    config::{self, Config, Eviction},
    context::Running,
    exit::ServeError,
    lane::Socket,
    random::random,
    sizing::{self, MemoryPlan},
    tiers,
};

/// Arena that was taken and has no engine yet.
pub(crate) struct Taken {
    name: Arc<str>,
    config: Config,
    arena: Arena,
    socket: Option<Lane>,
    socket_path: Option<PathBuf>,
    catalog_memory: ByteSize,
}

/// The fast lane's socket with its listener.
pub(crate) type Lane = (Socket, UnixListener);

/// Memory of the arenas that were taken, and what of it is not in use yet.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Promised {
    capacity: u64,
    catalogs: u64,
    /// Bytes of the arenas that are not populated.
    unpopulated: u64,
}

impl Promised {
    fn add(&mut self, arena: &Arena, catalog: ByteSize) {
        let capacity = arena.capacity().bytes();
        self.capacity += capacity;
        self.catalogs += catalog.bytes();
        self.unpopulated += capacity.saturating_sub(arena.populated().bytes());
    }

    /// Memory of catalogs and manifests, of which little is in use yet.
    fn beside(&self) -> u64 {
        2 * self.catalogs
    }

    /// Memory of all connections, beside these arenas.
    pub(crate) fn connection_memory(&self, config: &Config) -> ByteSize {
        config.connection_memory_max.unwrap_or_else(|| {
            let limit = MemoryLimits::default().memory();
            let (capacity, catalogs) = (ByteSize::new(self.capacity), ByteSize::new(self.catalogs));
            sizing::connection_memory(limit, capacity, catalogs)
        })
    }
}

impl Taken {
    /// Opens or makes the arena and listens on its socket. The undoing is to be dropped behind this one if
    /// the start fails.
    pub(crate) fn take(
        name: &str,
        config: Config,
        promised: &mut Promised,
    ) -> Result<(Self, Option<Undo>), ServeError> {
        let socket_path = config.socket_path()?;
        let arena = Arena::open(&segment_options(&config, promised))?;
        let undo = arena.undo()?;
        config::check_capacity(&config, name, arena.capacity())?;
        warn_of_disk(&arena, &config);
        warn_of_clock(&arena);
        // Before the engine, whose start takes longer and logs: clients wait until it serves.
        let listen = |path: &PathBuf| Socket::listen(path, &config);
        let socket = socket_path.as_ref().map(listen).transpose()?;
        let catalog_memory = fit_memory(&arena, &config, &MemoryLimits::default(), promised);
        promised.add(&arena, catalog_memory);
        let name = Arc::from(name);
        Ok((Self { name, config, arena, socket, socket_path, catalog_memory }, undo))
    }

    /// Starts its engine.
    pub(crate) fn start(self) -> Result<(Running, Option<Lane>), ServeError> {
        let Self { name, config, arena, socket, socket_path, catalog_memory } = self;
        let epoch = new_epoch();
        let tiers = tiers::open(&config)?;
        let index_key = FingerprintKey::new(random()?);
        let mut engine_config =
            engine_config((&name, &config), &arena, catalog_memory, index_key, tiers);
        engine_config.capture = capture::configured(&config)?;
        let engine = Arc::new(Engine::start(arena, engine_config, epoch)?);
        Ok((Running { name, engine, config, epoch, socket: socket_path }, socket))
    }
}

/// Memory that the daemon needs beside an arena of this size.
pub(crate) fn beside_arena(config: &Config, capacity: ByteSize) -> ByteSize {
    let connections = config.connection_memory_max.unwrap_or(sizing::CONNECTION_MEMORY_MIN);
    sizing::beside_arena(catalog_memory(config, capacity), connections)
}

/// Pages of a file system with a disk behind it are written back to the disk.
fn warn_of_disk(arena: &Arena, config: &Config) {
    if !arena.is_in_memory() {
        tracing::warn!(
            "cache.shared_memory_dir is not on a tmpfs: the kernel writes the arena to a disk, use \
             a directory such as `/dev/shm`, cache.shared_memory_dir=`{}`",
            config.shared_memory_dir.display()
        );
    }
}

/// Deadlines that are not those of leases keep space from being used.
fn warn_of_clock(arena: &Arena) {
    let shift_s = boot_time_shift_nanos() / 1_000_000_000;
    if shift_s != 0 {
        tracing::info!(
            shift_s,
            "this time namespace shifts the clock: deadlines are kept in the machine's own time"
        );
    }
    let (ends_in, what) = match arena.lease_fence().beyond() {
        Beyond::None => return,
        Beyond::Disbelieved(until) => (
            until,
            "the lease fence has deadlines that no lease can have, as of another clock: their \
             regions are not reused for as long as the longest lease can last",
        ),
        Beyond::Believed(until) => (
            until,
            "an earlier daemon granted longer leases than lease.ttl_max_s: their regions are not \
             reused until they end",
        ),
    };
    let ends_in_s = ends_in.since(boot_time()).as_secs();
    tracing::warn!(ends_in_s, "{what}; puts may fail until then");
}

fn segment_options(config: &Config, promised: &Promised) -> SegmentOptions {
    let name = config.shared_memory_name.clone();
    let ttl_max = config.lease_ttl_max.max(config.reservation_ttl);
    let lease_end = ttl_max + config.lease_grace;
    let own_memory = beside_arena(config, ByteSize::ZERO);
    let room = MemoryLimits::default().room(&config.shared_memory_dir, own_memory);
    let auto = sizing::capacity(room);
    SegmentOptions {
        dir: config.shared_memory_dir.clone(),
        capacity: config.capacity,
        mode: config.segment_mode,
        uid: config.segment_uid,
        gid: config.segment_gid,
        huge_pages: config.huge_pages,
        own_memory: {
            let own = beside_arena(config, config.capacity.unwrap_or(auto));
            ByteSize::new(own.bytes() + promised.beside())
        },
        promised: ByteSize::new(promised.unpopulated),
        ..SegmentOptions::new(name, auto, lease_end)
    }
}

pub(crate) fn catalog_memory(config: &Config, capacity: ByteSize) -> ByteSize {
    config.catalog_memory_max.unwrap_or_else(|| sizing::catalog_memory(capacity))
}

/// Memory that the catalog may use. Where the control group of an arena that exists has too little
/// left, it is less, and no more of the arena is populated than fits.
fn fit_memory(
    arena: &Arena,
    config: &Config,
    limits: &MemoryLimits,
    promised: &Promised,
) -> ByteSize {
    let (capacity, populated) = (arena.capacity(), arena.populated());
    let wanted = catalog_memory(config, capacity);
    // A new arena was checked before it was made.
    let Some(group) = limits.tightest_group().filter(|_| arena.reopened()) else { return wanted };
    // The new manifest takes the place of the earlier daemon's.
    let free = group.free.bytes().saturating_add(arena.stored_manifest_memory().bytes());
    let free = free.saturating_sub(promised.unpopulated + promised.beside());
    let plan = MemoryPlan::within(ByteSize::new(free), capacity, populated, wanted);
    if plan.arena < capacity || plan.catalog < wanted {
        tracing::warn!(
            limit = %group.limit, free = %group.free, arena = %plan.arena, catalog = %plan.catalog,
            "the memory limit `{}` leaves too little for the arena, its catalog and its manifest: \
             starting smaller, raise it to the sum in docs/configuration.md",
            group.path.display()
        );
        arena.limit_population(plan.arena);
    }
    plan.catalog
}

fn engine_config(
    (name, config): (&str, &Config),
    arena: &Arena,
    catalog_memory: ByteSize,
    index_key: FingerprintKey,
    tiers: Vec<TierConfig>,
) -> EngineConfig {
    let capacity = arena.capacity();
    let leases_max = sizing::leases(config.leases_max, catalog_memory);
    let leases = leases_max.min(CatalogConfig::leases_that_fit(catalog_memory));
    EngineConfig {
        catalog: CatalogConfig {
            capacity,
            memory_max: catalog_memory,
            leases_max,
            leases_per_owner_max: CatalogConfig::leases_per_owner_for(leases),
            leases_per_user_max: CatalogConfig::leases_per_user_for(leases),
            lease_grace: config.lease_grace,
            eviction: config.eviction.first(),
            buckets: config.buckets.clone(),
            quotas: config::of_catalog(config, name),
            free_target: match tiers.is_empty() {
                true => CatalogConfig::free_target_for(capacity),
                false => CatalogConfig::free_target_above_tier(capacity),
            },
            ahead_of_quotas: !tiers.is_empty(),
            // A secret of this process: clients choose names, and must not find ones that collide.
            hash_seed: RandomState::new().hash_one(capacity),
        },
        object_len_max: config.object_len_max,
        lease_ttl_default: config.lease_ttl_default,
        lease_ttl_max: config.lease_ttl_max,
        checkpoint_max: sizing::checkpoints(config.checkpoint_capacity, capacity),
        checkpoint_disk: tiers::shard_disk(config, &tiers),
        checkpoint_replicas: config.checkpoint_replicate,
        reservation_ttl: config.reservation_ttl,
        cold: config.cold,
        scrub_rate: config.scrub_rate,
        index_key,
        index_left_out: answer_times::left_out(config),
        events_memory_max: config.events_memory_max,
        curve: config.curve_memory_max.map(CurveConfig::new),
        eviction_auto: config.eviction == Eviction::Auto,
        tiers,
        copies_wait_max: COPIES_WAIT_MAX_DEFAULT,
        capture: None,
    }
}

/// An epoch that no other incarnation on this machine has: they hold the segment one after the
/// other, so each reads a later time; the boot and the process tell machines and reboots apart.
fn new_epoch() -> Epoch {
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    Epoch::new(wall ^ boot_time().nanos().rotate_left(32) ^ u64::from(std::process::id()))
}
