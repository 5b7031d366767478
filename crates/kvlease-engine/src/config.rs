//! Configuration of the engine.

use std::time::Duration;

use kvlease_cache::{CatalogConfig, CurveConfig};
use kvlease_sys::FingerprintKey;
use kvlease_types::ByteSize;

use crate::{
    capture::CaptureConfig,
    checkpoints::ShardDisk,
    events::EVENTS_MEMORY_DEFAULT,
    tiers::{BucketSet, TierConfig},
};

/// The time that a client has for writing into a reservation, unless it is configured.
pub const RESERVATION_TTL_DEFAULT: Duration = Duration::from_secs(30);

/// The rate of the scrubber, unless it is configured: some thousandths of a core.
pub const SCRUB_RATE_DEFAULT: ByteSize = ByteSize::mib(32);

/// How long loads from a tier wait for copies of what leaves, unless it is configured.
pub const COPIES_WAIT_MAX_DEFAULT: Duration = Duration::from_secs(1);

/// Limits of the engine. All of them hold for every client.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Limits and policy of the catalog.
    pub catalog: CatalogConfig,
    /// The largest object, in bytes.
    pub object_len_max: ByteSize,
    /// The time to live of a lease whose client names none.
    pub lease_ttl_default: Duration,
    /// The longest time to live that is granted; longer requests are cut to it.
    pub lease_ttl_max: Duration,
    /// The most that shards of checkpoints may take of the arena; zero for no checkpoints.
    pub checkpoint_max: ByteSize,
    /// Where shards go that have no room in it.
    pub checkpoint_disk: Option<ShardDisk>,
    /// Whether shards are copied to the tier that nodes share, and read from there.
    pub checkpoint_replicas: bool,
    /// How long a client may write into a [`Reservation`](crate::Reservation) before it must be
    /// committed.
    pub reservation_ttl: Duration,
    /// Start with an empty cache, whatever an earlier daemon left in the arena.
    pub cold: bool,
    /// How many bytes a second the scrubber looks at; `None` for no scrubber.
    pub scrub_rate: Option<ByteSize>,
    /// Secret of the published index, new for each incarnation.
    pub index_key: FingerprintKey,
    /// Buckets whose objects are not in it: their readers ask the daemon.
    pub index_left_out: BucketSet,
    /// Memory for events that subscribers have not read, and may ask for again.
    pub events_memory_max: ByteSize,
    /// Live curve; `None` for none.
    pub curve: Option<CurveConfig>,
    /// Whether the policy is chosen by the live curve, from the catalog's on.
    pub eviction_auto: bool,
    /// Tiers below the arena, fastest first.
    pub tiers: Vec<TierConfig>,
    /// How long loads from a tier wait for copies of what leaves, from the moment when room ran out. Behind that,
    /// objects that are asked for now matter more than copies of those that leave.
    pub copies_wait_max: Duration,
    /// Where the stream of requests is written down; `None` for nowhere.
    pub capture: Option<CaptureConfig>,
}

impl EngineConfig {
    /// A configuration with this catalog and this secret of the published index, in which all leases live
    /// for `ttl` and an object may be as large as the arena: without checkpoints, a
    /// scrubber, tiers and a capture.
    pub fn new(catalog: CatalogConfig, ttl: Duration, index_key: FingerprintKey) -> Self {
        Self {
            object_len_max: catalog.capacity,
            catalog,
            lease_ttl_default: ttl,
            lease_ttl_max: ttl,
            checkpoint_max: ByteSize::ZERO,
            checkpoint_disk: None,
            checkpoint_replicas: false,
            reservation_ttl: RESERVATION_TTL_DEFAULT,
            cold: false,
            scrub_rate: None,
            index_key,
            index_left_out: BucketSet::NONE,
            events_memory_max: EVENTS_MEMORY_DEFAULT,
            curve: None,
            eviction_auto: false,
            tiers: Vec::new(),
            copies_wait_max: COPIES_WAIT_MAX_DEFAULT,
            capture: None,
        }
    }
}
