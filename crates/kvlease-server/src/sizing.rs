//! Sizes that the configuration leaves to the daemon.

use kvlease_cache::CatalogConfig;
use kvlease_types::ByteSize;

/// The smallest arena that is made without being asked for, where there is room for it.
const CAPACITY_AUTO_MIN: ByteSize = ByteSize::mib(64);

/// The largest arena that is made without being asked for.
const CAPACITY_AUTO_MAX: ByteSize = ByteSize::gib(8);

/// The part of the free shared memory that such an arena takes.
const CAPACITY_AUTO_SHARE: u64 = 4;

/// The least memory that the catalog may use.
const CATALOG_MEMORY_MIN: ByteSize = ByteSize::mib(32);

/// The part of the arena's size that the catalog may use beside it: an object of 64 KiB then has
/// a KiB for its names and its place, twice what a long key needs.
const CATALOG_MEMORY_SHARE: u64 = 64;

/// The least memory of a catalog that is configured, or that a control group has no room for: some
/// thousand objects.
pub(crate) const CATALOG_MEMORY_FLOOR: ByteSize = ByteSize::mib(1);

/// Memory of the process beside arena, catalog, manifest and connections: code, threads, and what
/// requests use while they are handled.
pub(crate) const PROCESS_MEMORY: ByteSize = ByteSize::mib(32);

/// The least memory of all connections.
pub(crate) const CONNECTION_MEMORY_MIN: ByteSize = ByteSize::mib(32);

/// The most memory of all connections that is taken without being asked for: enough for the
/// default `server.connections_max`.
const CONNECTION_MEMORY_AUTO_MAX: ByteSize = ByteSize::gib(2);

/// Memory of a connection of HTTP that is idle, has sent half a head, or takes its time for a short
/// reply: buffers of at most 16 KiB for the head and 8 KiB for the reply, its task, and the
/// kernel's share.
pub(crate) const HTTP_CONNECTION: u64 = 32 << 10;

/// Places that a connection with TLS takes, beside its own: 160 KiB. The library holds at most 64 KiB of a
/// handshake or 32 KiB of a reply, 16 KiB in the clear and a record of 18 KiB that is not whole; 32 KiB
/// are read ahead, and the rest is its state.
pub(crate) const TLS_PLACES: u32 = 5;

/// Memory of a connection of the fast lane with short frames and short answers: buffers of 16 KiB
/// and 8 KiB, and its task.
const LANE_CONNECTION: u64 = 32 << 10;

/// Parts of the budget of connections. Those that are not for places are shares of purposes.
pub(crate) const PARTS: u64 = 32;

/// Parts of the budget of connections for places of HTTP and of the fast lane.
pub(crate) const PLACES_PARTS: (u64, u64) = (12, 4);

/// Numbers of places for connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlaceCounts {
    pub(crate) http: usize,
    pub(crate) lane: usize,
}

impl PlaceCounts {
    /// Places that the budget of connections has memory for, at most `connections_max` each.
    pub(crate) fn new(budget: ByteSize, connections_max: usize) -> Self {
        let share = |parts: u64, each: u64| {
            let places = budget.bytes() / PARTS * parts / each;
            usize::try_from(places).unwrap_or(usize::MAX).min(connections_max)
        };
        let (http, lane) = PLACES_PARTS;
        Self { http: share(http, HTTP_CONNECTION), lane: share(lane, LANE_CONNECTION) }
    }

    /// The same places, with those of the fast lane in equal parts for `count` sockets: the clients of one
    /// keep none of another one out.
    pub(crate) fn for_lanes(self, count: usize) -> Self {
        Self { lane: (self.lane / count.max(1)).max(1), ..self }
    }
}

/// Memory of all connections, where `limit` bounds the daemon's memory: what arena, catalog and
/// manifest leave, within bounds.
pub(crate) fn connection_memory(
    limit: ByteSize,
    capacity: ByteSize,
    catalog: ByteSize,
) -> ByteSize {
    let others = capacity.bytes() + 2 * catalog.bytes() + PROCESS_MEMORY.bytes();
    let left = ByteSize::new(limit.bytes().saturating_sub(others));
    left.clamp(CONNECTION_MEMORY_MIN, CONNECTION_MEMORY_AUTO_MAX)
}

/// Memory that the daemon needs beside its arena.
pub(crate) fn beside_arena(catalog: ByteSize, connections: ByteSize) -> ByteSize {
    ByteSize::new(2 * catalog.bytes() + connections.bytes() + PROCESS_MEMORY.bytes())
}

/// The part of the arena that checkpoints may take without being asked for.
const CHECKPOINTS_SHARE: u64 = 2;

/// The most leases that live at once without being asked for.
const LEASES_AUTO_MAX: usize = 262_144;

/// The most leases that live at once: as many as configured. The catalog grants fewer if they do not
/// fit into their share of its memory, which is logged.
pub(crate) fn leases(configured: Option<usize>, catalog_memory: ByteSize) -> usize {
    let fit = CatalogConfig::leases_that_fit(catalog_memory);
    if let Some(leases_max) = configured.filter(|configured| *configured > fit) {
        tracing::warn!(
            "fewer leases than configured may live at once: lower lease.live_max, or raise \
             cache.catalog_memory_max, of which leases have an eighth, \
             lease.live_max=`{leases_max}`, effective=`{fit}`, \
             cache.catalog_memory_max=`{catalog_memory}`"
        );
    }
    configured.unwrap_or_else(|| LEASES_AUTO_MAX.min(fit))
}

/// The size of a new arena: a quarter of what is free, within bounds, in whole MiB. Where that is
/// little, a quarter is left to others; where nothing is free, the least is refused with the reason.
pub(crate) fn capacity(free: ByteSize) -> ByteSize {
    let share = free.bytes() / CAPACITY_AUTO_SHARE;
    let least = CAPACITY_AUTO_MIN.bytes().min(free.bytes() - share);
    let whole = share.max(least).min(CAPACITY_AUTO_MAX.bytes()) >> 20;
    if whole == 0 { CAPACITY_AUTO_MIN } else { ByteSize::mib(whole) }
}

/// The most memory that the catalog of an arena of this size may use.
pub(crate) fn catalog_memory(capacity: ByteSize) -> ByteSize {
    ByteSize::new(capacity.bytes() / CATALOG_MEMORY_SHARE).max(CATALOG_MEMORY_MIN)
}

/// The part of the arena that checkpoints may take: as much as configured, or half of it.
pub(crate) fn checkpoints(configured: Option<ByteSize>, capacity: ByteSize) -> ByteSize {
    configured.unwrap_or_else(|| ByteSize::new(capacity.bytes() / CHECKPOINTS_SHARE)).min(capacity)
}

/// The part of the tier's file that shards may take beside it without being asked for.
const CHECKPOINTS_DISK_SHARE: u64 = 2;

/// Bytes of the disk that checkpoints may take: as much as configured, or half of what the tier takes.
pub(crate) fn checkpoints_on_disk(configured: Option<ByteSize>, tier: ByteSize) -> ByteSize {
    configured.unwrap_or_else(|| ByteSize::new(tier.bytes() / CHECKPOINTS_DISK_SHARE))
}

/// Memory of a daemon on an arena that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MemoryPlan {
    /// The most that the catalog may use.
    pub(crate) catalog: ByteSize,
    /// The most of the arena that may have its memory.
    pub(crate) arena: ByteSize,
}

impl MemoryPlan {
    /// Plan that fits into the `free` memory of a control group, for an arena of which a part is
    /// `populated`, and a catalog that is to have `catalog`. What exists already stays.
    pub(crate) fn within(
        free: ByteSize,
        capacity: ByteSize,
        populated: ByteSize,
        catalog: ByteSize,
    ) -> Self {
        let left = free.bytes().saturating_sub(PROCESS_MEMORY.bytes());
        let catalog = catalog.bytes().min((left / 2).max(CATALOG_MEMORY_FLOOR.bytes()));
        let room = left.saturating_sub(catalog * 2);
        let arena = populated.bytes().saturating_add(room).min(capacity.bytes());
        Self { catalog: ByteSize::new(catalog), arena: ByteSize::new(arena) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_sizes_keep_within_their_bounds() {
        assert_eq!(capacity(ByteSize::new((2 << 30) + 12345)), ByteSize::mib(512));
        assert_eq!(capacity(ByteSize::mib(200)), CAPACITY_AUTO_MIN);
        assert_eq!(capacity(ByteSize::gib(1000)), CAPACITY_AUTO_MAX);
        assert_eq!(catalog_memory(ByteSize::mib(64)), CATALOG_MEMORY_MIN);
        assert_eq!(catalog_memory(ByteSize::gib(8)), ByteSize::mib(128));
    }

    #[test]
    fn an_automatic_arena_fits_in_what_is_there() {
        // The default of a container, less the files beside the arena.
        assert_eq!(capacity(ByteSize::mib(54)), ByteSize::mib(40));
        assert_eq!(capacity(ByteSize::ZERO), CAPACITY_AUTO_MIN, "refused with the reason");
    }

    #[test]
    fn a_restart_takes_what_a_control_group_has_left() {
        let mib = ByteSize::mib;
        let plan = |free| MemoryPlan::within(free, mib(96), mib(90), mib(32));
        let all = MemoryPlan { catalog: mib(32), arena: mib(96) };
        assert_eq!(plan(mib(32 + 64 + 6)), all);
        assert_eq!(plan(mib(32 + 64 + 5)).arena, mib(95));
        let left = plan(mib(32 + 20));
        assert_eq!(left, MemoryPlan { catalog: mib(10), arena: mib(90) });
        assert_eq!(plan(mib(3)), MemoryPlan { catalog: mib(1), arena: mib(90) });
    }

    #[test]
    fn connections_get_what_the_limit_leaves_and_never_too_little() {
        let memory = |limit| connection_memory(limit, ByteSize::mib(96), ByteSize::mib(32));
        assert_eq!(memory(ByteSize::mib(224)), ByteSize::mib(32), "the documented sum");
        assert_eq!(memory(ByteSize::mib(100)), CONNECTION_MEMORY_MIN);
        assert_eq!(memory(ByteSize::mib(292)), ByteSize::mib(100));
        assert_eq!(memory(ByteSize::gib(100)), CONNECTION_MEMORY_AUTO_MAX);
        let beside = beside_arena(ByteSize::mib(32), ByteSize::mib(32));
        assert_eq!(beside, ByteSize::mib(128));
    }

    #[test]
    fn places_are_those_that_there_is_memory_for() {
        let least = PlaceCounts::new(CONNECTION_MEMORY_MIN, 8192);
        assert_eq!(least, PlaceCounts { http: 384, lane: 128 });
        let most = PlaceCounts::new(CONNECTION_MEMORY_AUTO_MAX, 8192);
        assert_eq!(most, PlaceCounts { http: 8192, lane: 8192 });
        let lanes = [1, 3, 1_000].map(|count| least.for_lanes(count).lane);
        assert_eq!((lanes, least.for_lanes(3).http), ([128, 42, 1], 384));
        let beyond = PlaceCounts::new(ByteSize::new(u64::MAX), usize::MAX);
        assert!(beyond.http > 8192, "{beyond:?}");
    }

    #[test]
    fn leases_that_are_not_configured_fit_into_their_share() {
        let default = catalog_memory(CAPACITY_AUTO_MIN);
        let fit = CatalogConfig::leases_that_fit(default);
        assert!((16_384..LEASES_AUTO_MAX).contains(&fit), "{fit}");
        assert_eq!(leases(None, default), fit);
        assert_eq!([3, LEASES_AUTO_MAX].map(|n| leases(Some(n), default)), [3, LEASES_AUTO_MAX]);
        assert_eq!(leases(None, ByteSize::gib(1)), LEASES_AUTO_MAX);
    }
}
