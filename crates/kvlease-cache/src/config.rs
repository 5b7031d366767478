//! Limits that a catalog works within.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use kvlease_types::{BucketName, BucketPolicy, ByteSize};

use crate::{
    leases::{LeaseLimits, Leases},
    quota_config::QuotaConfig,
};

/// Alignment of extents, and the granularity in which space is given out.
pub const UNIT: ByteSize = ByteSize::kib(4);

/// The most extents one object may have. One is the normal case; more are for fragmented space.
pub const EXTENTS_PER_OBJECT_MAX: usize = 64;

/// The largest free target that [`CatalogConfig::free_target_for`] gives.
pub const FREE_TARGET_MAX: ByteSize = ByteSize::mib(256);

/// The largest free target that [`CatalogConfig::free_target_above_tier`] gives.
pub const FREE_TARGET_ABOVE_TIER_MAX: ByteSize = ByteSize::gib(2);

/// The smallest arena for which [`CatalogConfig::free_target_for`] gives a free target.
pub const FREE_TARGET_CAPACITY_MIN: ByteSize = ByteSize::gib(1);

/// Objects that one call evicts at most to make space, before it asks for a drain: others can use the
/// catalog in between.
pub const EVICTIONS_PER_CALL_MAX: u64 = 128;

/// Objects that eviction ahead of need chooses, and gives up, at once. A drain then gives back no
/// more names at once than an allocator keeps at hand, which is cheaper than in large batches.
pub const VICTIMS_BATCH: usize = 8;

/// Objects that are handed over to another eviction policy at once: some tenths of a millisecond in a large catalog.
pub const HAND_OVER_BATCH: u32 = 1024;

/// Part of the catalog's memory that is kept for leases. The rest is for objects, however many leases
/// clients ask for.
const LEASES_MEMORY_PART: usize = 8;

/// Part of all leases that one owner may have.
const OWNER_LEASES_PART: usize = 2;

/// Leases that one owner may have whatever its part is, unless all are fewer: four frames of as
/// many keys as a frame of the fast lane takes.
const OWNER_LEASES_MIN: usize = 4 * 4096;

/// Part of all leases that one user leaves to others, whatever connections it opens.
const OTHERS_LEASES_PART: usize = 8;

/// The most tenants that may have a quota of space.
pub const SPACE_QUOTAS_MAX: usize = 63;

/// The most slots one call of a listing looks at.
pub const LIST_SCAN_MAX: usize = 4096;

/// The largest arena a catalog can describe: 2^32 units, less what marks the end of a list.
pub const CAPACITY_MAX: ByteSize = ByteSize::new((u32::MAX as u64 - 1) * UNIT.bytes());

/// The limits of a catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogConfig {
    /// Size of the arena. Rounded down to whole [`UNIT`]s, at most [`CAPACITY_MAX`].
    pub capacity: ByteSize,
    /// Hard limit of the catalog's own memory: names, slots, leases, policy.
    pub memory_max: ByteSize,
    /// Most leases that live at the same time; less if they do not
    /// [fit](Self::leases_that_fit) into their share of the memory.
    pub leases_max: usize,
    /// Most leases of one owner. See [`leases_per_owner_for`](Self::leases_per_owner_for).
    pub leases_per_owner_max: usize,
    /// Most leases of all owners that are one user's. See
    /// [`leases_per_user_for`](Self::leases_per_user_for).
    pub leases_per_user_max: usize,
    /// How long after its deadline the extents of an unreleased lease stay as they are: a reader
    /// may be in the middle of a copy, or count its time differently.
    pub lease_grace: Duration,
    /// Order in which unleased objects leave.
    pub eviction: EvictionKind,
    /// Policies of buckets. Those beyond [`BUCKET_POLICIES_MAX`](kvlease_types::BUCKET_POLICIES_MAX) are
    /// left out.
    pub buckets: BTreeMap<BucketName, BucketPolicy>,
    /// Quotas of buckets and tenants. Those of buckets beyond
    /// [`BUCKET_POLICIES_MAX`](kvlease_types::BUCKET_POLICIES_MAX), and of space of tenants beyond
    /// [`SPACE_QUOTAS_MAX`], are left out.
    pub quotas: QuotaConfig,
    /// Free space that eviction ahead of need restores when less than half of it is left, so that
    /// writes find space. [`ByteSize::ZERO`] evicts on demand only. See
    /// [`free_target_for`](Self::free_target_for).
    pub free_target: ByteSize,
    /// Whether eviction ahead of need makes room within quotas as well, see
    /// [`Catalog::victims_within_quotas`](crate::Catalog::victims_within_quotas). It is of use above a tier, which
    /// gets what leaves; without one, objects stay until their quota is full.
    pub ahead_of_quotas: bool,
    /// Key of the hashes of names. It must be secret where clients are not trusted: with it, names
    /// that collide can be computed.
    pub hash_seed: u64,
}

impl CatalogConfig {
    /// Free target of an arena above a tier: enough for victims to be copied to the tier while writes
    /// go on. A sixteenth of the arena, at most [`FREE_TARGET_ABOVE_TIER_MAX`].
    pub const fn free_target_above_tier(capacity: ByteSize) -> ByteSize {
        let part = capacity.bytes() / 16;
        let max = FREE_TARGET_ABOVE_TIER_MAX.bytes();
        ByteSize::new(if part < max { part } else { max })
    }

    /// Free target that suits an arena of this capacity: 1/128 of it, at most
    /// [`FREE_TARGET_MAX`]. Zero for arenas below [`FREE_TARGET_CAPACITY_MIN`], where it would be
    /// less than an object.
    pub const fn free_target_for(capacity: ByteSize) -> ByteSize {
        if capacity.bytes() < FREE_TARGET_CAPACITY_MIN.bytes() {
            return ByteSize::ZERO;
        }
        let part = capacity.bytes() / 128;
        let max = FREE_TARGET_MAX.bytes();
        ByteSize::new(if part < max { part } else { max })
    }
}

impl CatalogConfig {
    /// Most leases that the share of a catalog with this limit of memory has room for.
    pub fn leases_that_fit(memory_max: ByteSize) -> usize {
        Self { memory_max, leases_max: usize::MAX, ..Self::default() }.lease_limits().leases()
    }

    /// Limits of leases. What leases may take is not the objects', so that no lease evicts any.
    pub(crate) fn lease_limits(&self) -> LeaseLimits {
        let memory = usize::try_from(self.memory_max.bytes()).unwrap_or(usize::MAX);
        LeaseLimits {
            total: self.leases_max,
            per_owner: self.leases_per_owner_max,
            per_user: self.leases_per_user_max,
            memory: (memory / LEASES_MEMORY_PART).max(Leases::LEASE_BYTES),
        }
    }

    /// Leases that suit one owner where all have `leases_max`: half of them, so that none takes all
    /// that clients need.
    pub fn leases_per_owner_for(leases_max: usize) -> usize {
        (leases_max / OWNER_LEASES_PART).max(OWNER_LEASES_MIN).min(leases_max)
    }

    /// Leases that suit one user where all have `leases_max`: seven eighths of them. Often there is
    /// one user only, so no more is kept for others than they need to go on.
    pub const fn leases_per_user_for(leases_max: usize) -> usize {
        leases_max - leases_max / OTHERS_LEASES_PART
    }
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            capacity: ByteSize::gib(1),
            memory_max: ByteSize::mib(256),
            leases_max: 1 << 16,
            leases_per_owner_max: 1 << 16,
            leases_per_user_max: 1 << 16,
            lease_grace: Duration::from_secs(10),
            eviction: EvictionKind::default(),
            buckets: BTreeMap::new(),
            quotas: QuotaConfig::default(),
            free_target: ByteSize::ZERO,
            ahead_of_quotas: false,
            hash_seed: 0,
        }
    }
}

/// Order in which unleased objects leave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum EvictionKind {
    /// Least recently used first.
    Lru,
    /// S3-FIFO: objects that were never asked for leave soon, so that a scan does not push out
    /// what is in use.
    S3Fifo,
    /// Hit density: the objects with the fewest expected returns for the room and time that they take
    /// leave first, learned by age and by how often an object came back.
    #[default]
    HitDensity,
}

impl EvictionKind {
    /// Every kind, for messages and tests.
    pub const ALL: [Self; 3] = [Self::Lru, Self::S3Fifo, Self::HitDensity];

    /// Its name in configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::S3Fifo => "s3-fifo",
            Self::HitDensity => "hit-density",
        }
    }
}

impl fmt::Display for EvictionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// The text names no eviction policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such eviction policy: write `lru`, `s3-fifo` or `hit-density`")]
pub struct ParseEvictionKindError;

impl FromStr for EvictionKind {
    type Err = ParseEvictionKindError;

    fn from_str(text: &str) -> Result<Self, ParseEvictionKindError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(ParseEvictionKindError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_user_leaves_leases_to_others() {
        for (all, owner, user) in [
            (2, 2, 2),
            (8, 8, 7),
            (16_384, 16_384, 14_336),
            (20_000, 16_384, 17_500),
            (65_536, 32_768, 57_344),
            (262_144, 131_072, 229_376),
        ] {
            let shares = [CatalogConfig::leases_per_owner_for, CatalogConfig::leases_per_user_for];
            assert_eq!(shares.map(|share| share(all)), [owner, user], "of {all}");
        }
    }

    #[test]
    fn policies_are_named_the_way_they_parse() {
        for kind in EvictionKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("LRU".parse::<EvictionKind>(), Err(ParseEvictionKindError));
    }
}
