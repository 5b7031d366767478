//! One daemon from its parts.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, Beyond, MemoryLimits, SegmentOptions, Undo};
use kvlease_cache::{CatalogConfig, CurveConfig};
use kvlease_engine::{Engine, EngineConfig, TierConfig};
use kvlease_sys::{FingerprintKey, boot_time, boot_time_shift_nanos};
use kvlease_types::{ByteSize, Epoch};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::sleep};

use crate::{
    access::{Access, warn_of_tenants, watch_tokens},
    access_log::AccessLog,
    audit::Audit,
    capture,
    config::{Config, Eviction, SocketPlace},
    context::Context,
    exit::ServeError,
    kv_events::{self, Publisher},
    lane::{self, Socket},
    listening::{Listeners, Listening, Serving},
    random::{no_random, random},
    sampler::sample,
    sizing::{self, MemoryPlan},
    tiers,
    trim::trim,
    welcome::welcome,
};

/// How often a draining daemon looks whether it is done.
const DRAIN_TURN: Duration = Duration::from_millis(20);

/// How long connections may take to end their last request once everything else has ended.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A running daemon.
pub struct Server {
    context: Arc<Context>,
    /// The first one is that of `server.address`.
    listening: Vec<Listening>,
    serving: Serving,
    socket: Option<PathBuf>,
    /// The fast lane's order to stop, given by dropping the sender, and its task.
    lane: Option<(watch::Sender<()>, JoinHandle<()>)>,
    /// Tasks that look at the daemon or at files now and then, until it ends.
    watching: [JoinHandle<()>; 3],
    /// Publisher of KV events, if there is one.
    publisher: Option<Publisher>,
    /// Removal of the arena, if this daemon made it.
    undo: Option<Undo>,
}

impl Server {
    /// Listens, takes the segment, and serves. It returns once requests are answered.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let socket_path = config.socket_path()?;
        let listeners = Listeners::bind(&config, None).await?;
        Self::serve(listeners, socket_path, config)
    }

    /// Serves on a socket that another process listens on already, whatever first address is configured.
    pub async fn start_on(
        listener: std::net::TcpListener,
        config: Config,
    ) -> Result<Self, ServeError> {
        let socket_path = config.socket_path()?;
        listener.set_nonblocking(true).map_err(ServeError::Inherited)?;
        let listener = TcpListener::from_std(listener).map_err(ServeError::Inherited)?;
        let address = listener.local_addr().map_err(ServeError::Inherited)?;
        if ![address, Config::default().address].contains(&config.address) {
            tracing::warn!(
                "the socket of the service manager overrides server.address: set ListenStream= of \
                 the socket unit, server.address=`{}` listening=`{address}`",
                config.address
            );
        }
        let listeners = Listeners::bind(&config, Some(listener)).await?;
        Self::serve(listeners, socket_path, config)
    }

    /// Takes the segment and serves.
    fn serve(
        listeners: Listeners,
        socket_path: Option<PathBuf>,
        config: Config,
    ) -> Result<Self, ServeError> {
        let access = Access::configured(&config)?;
        let arena = Arena::open(&segment_options(&config))?;
        // Dropped last if something fails below: then the new arena goes.
        let mut undo = arena.undo()?;
        warn_of_disk(&arena, &config);
        warn_of_clock(&arena);
        // Before the engine, whose start takes longer and logs: clients wait until it serves.
        let listen = |path: &PathBuf| Socket::listen(path, &config);
        let socket = socket_path.as_ref().map(listen).transpose()?;
        let sockets = kv_events::bind(&config)?;
        let epoch = new_epoch();
        let catalog_memory = fit_memory(&arena, &config, &MemoryLimits::default());
        let tiers = tiers::open(&config)?;
        let index_key = FingerprintKey::new(random()?);
        let mut engine_config = engine_config(&config, &arena, catalog_memory, index_key, tiers);
        engine_config.capture = capture::configured(&config)?;
        let budget = connection_memory(&config, &engine_config.catalog);
        let engine = Engine::start(arena, engine_config, epoch)?;
        // As late as can be: each start begins a new file.
        let tenancy = (access, Audit::begin(&config)?, AccessLog::begin(&config)?);
        let context = Context::new(engine, config, tenancy, epoch, socket_path.as_deref(), budget);
        let context = Arc::new(context.map_err(no_random)?);
        warn_of_tenants(&context.config);
        let publisher = sockets.map(|sockets| kv_events::start(sockets, &context)).transpose()?;
        let watching = [
            tokio::spawn(trim(Arc::clone(&context))),
            tokio::spawn(sample(Arc::clone(&context))),
            tokio::spawn(watch_tokens(Arc::clone(&context))),
        ];
        let lane = socket.map(|(mut socket, listener)| {
            socket.keep_directory();
            let (stop, stopped) = watch::channel(());
            let accepting =
                lane::accept((socket, listener), Arc::clone(&context), stopped, CLOSE_GRACE);
            (stop, tokio::spawn(accepting))
        });
        let listening = listeners.addresses();
        let serving = listeners.serve(&context, CLOSE_GRACE);
        if let Some(undo) = &mut undo {
            undo.keep();
        }
        Ok(Self {
            context,
            listening,
            serving,
            socket: socket_path,
            lane,
            watching,
            publisher,
            undo,
        })
    }

    /// The address that it listens on; with port 0 configured, the one that was taken.
    pub fn address(&self) -> SocketAddr {
        self.listening[0].address
    }

    /// The address of the listener in the section `[listener."NAME"]`.
    pub fn listener_address(&self, name: &str) -> Option<SocketAddr> {
        self.listening.iter().find(|found| &*found.name == name).map(|found| found.address)
    }

    /// Path of the fast lane's socket; `None` if there is none.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The addresses on which it listens for subscribers to KV events, and for requests for what they
    /// missed.
    pub fn events_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.publisher.as_ref().map_or((None, None), Publisher::addresses)
    }

    /// The first lines for people: what is served, and what to paste into LMCache.
    pub fn welcome(&self) -> String {
        let Self { listening, context, socket, .. } = self;
        let stats = context.engine.stats();
        welcome(listening, &context.config, &stats, socket.as_deref())
    }

    /// Stops in order: takes no new work, lets running transfers end and clients release their
    /// leases for at most the configured time, then closes. What is still leased then stays as
    /// it is in the segment; the next incarnation honours it.
    pub async fn shutdown(self) {
        let limit = self.context.config.drain_timeout;
        self.stop_within(limit).await;
    }

    /// Stops at once, and removes the arena if this daemon made it.
    pub async fn abandon(mut self) {
        let undo = self.undo.take();
        let socket = self.socket.take().filter(|_| self.context.config.socket == SocketPlace::Auto);
        self.stop_within(Duration::ZERO).await;
        if let Some(undo) = undo {
            if let Some(path) = socket {
                lane::remove_directory(&path);
            }
            undo.remove();
        }
    }

    async fn stop_within(self, limit: Duration) {
        self.context.status.drain();
        self.context.engine.end_events();
        let started = Instant::now();
        let left = loop {
            let stats = self.context.engine.stats().catalog;
            let busy = stats.leases_live + stats.writes_in_flight;
            if busy == 0 || started.elapsed() >= limit {
                break stats;
            }
            sleep(DRAIN_TURN).await;
        };
        tracing::info!(
            leases = left.leases_live,
            writes = left.writes_in_flight,
            "drained: closing connections"
        );
        if let Some((stop, accepting)) = self.lane {
            drop(stop);
            // It has ended before only if it was torn down with the runtime.
            let _ = accepting.await;
        }
        self.serving.end().await;
        self.watching.iter().for_each(JoinHandle::abort);
        if let Some(publisher) = self.publisher {
            publisher.end().await;
        }
        self.context.engine.stop();
        if let Some(audit) = &self.context.audit {
            audit.end();
        }
        if let Some(log) = &self.context.access_log {
            log.end();
        }
    }
}

/// Memory of all connections.
fn connection_memory(config: &Config, catalog: &CatalogConfig) -> ByteSize {
    config.connection_memory_max.unwrap_or_else(|| {
        let limit = MemoryLimits::default().memory();
        sizing::connection_memory(limit, catalog.capacity, catalog.memory_max)
    })
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

fn segment_options(config: &Config) -> SegmentOptions {
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
        own_memory: beside_arena(config, config.capacity.unwrap_or(auto)),
        ..SegmentOptions::new(name, auto, lease_end)
    }
}

fn catalog_memory(config: &Config, capacity: ByteSize) -> ByteSize {
    config.catalog_memory_max.unwrap_or_else(|| sizing::catalog_memory(capacity))
}

/// Memory that the catalog may use. Where the control group of an arena that exists has too little
/// left, it is less, and no more of the arena is populated than fits.
fn fit_memory(arena: &Arena, config: &Config, limits: &MemoryLimits) -> ByteSize {
    let (capacity, populated) = (arena.capacity(), arena.populated());
    let wanted = catalog_memory(config, capacity);
    // A new arena was checked before it was made.
    let Some(group) = limits.tightest_group().filter(|_| arena.reopened()) else { return wanted };
    // The new manifest takes the place of the earlier daemon's.
    let free = group.free.bytes().saturating_add(arena.stored_manifest_memory().bytes());
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
    config: &Config,
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
            free_target: match tiers.is_empty() {
                true => CatalogConfig::free_target_for(capacity),
                false => CatalogConfig::free_target_above_tier(capacity),
            },
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
        events_memory_max: config.events_memory_max,
        curve: config.curve_memory_max.map(CurveConfig::new),
        eviction_auto: config.eviction == Eviction::Auto,
        tiers,
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
