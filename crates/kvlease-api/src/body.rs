//! The JSON bodies of successful replies.

use kvlease_types::{ByteSize, Extent, Offset};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    curve::{CurveReply, EvictionReply},
    quota::QuotaState,
    space::TierState,
};

/// The longest id of a lease, in bytes. Ids of this daemon are shorter.
pub const LEASE_ID_LEN_MAX: usize = 255;

/// A lease: the right to read an object's extents until it ends.
///
/// `id` and `offsets` are the protocol; the rest is ours and ignored by the stock clients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeaseReply {
    /// The name to release or renew it by; only `[A-Za-z0-9_-]`.
    pub id: String,
    /// Where the object's bytes are, in their order; the lengths add up to the object's.
    pub offsets: Vec<LeasedExtent>,
    /// The time to live that was granted, in seconds, counted from before the reply was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<f64>,
    /// XXH3-64 (seed 0) of the object's bytes, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Differs from that of every other object which these extents ever held in this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The incarnation of the daemon, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
}

/// One extent of a leased object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeasedExtent {
    /// Bytes from the first byte of the segment.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl From<Extent> for LeasedExtent {
    fn from(extent: Extent) -> Self {
        Self { offset: extent.offset.bytes(), len: extent.len.bytes() }
    }
}

impl From<LeasedExtent> for Extent {
    fn from(wire: LeasedExtent) -> Self {
        Self::new(Offset::new(wire.offset), ByteSize::new(wire.len))
    }
}

/// A renewed lease.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RenewReply {
    /// The time to live that was granted, in seconds from now.
    pub ttl_s: f64,
}

/// Where an object is, without a lease: of use for sizes, not for reading.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LocationsReply {
    /// Its extents, in the order of its bytes.
    pub locations: Vec<Location>,
}

/// One extent of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Bytes from the first byte of the segment.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl From<Extent> for Location {
    fn from(extent: Extent) -> Self {
        Self { offset: extent.offset.bytes(), length: extent.len.bytes() }
    }
}

/// An object was stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoredReply {
    /// Its length in bytes.
    pub len: u64,
    /// XXH3-64 (seed 0) of its bytes, 16 hexadecimal digits.
    pub checksum: String,
}

/// The state of the daemon in numbers. `/metrics` has the same and more, as time series.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatsReply {
    /// Version of the daemon.
    pub version: String,
    /// Its incarnation, 16 hexadecimal digits.
    pub epoch: String,
    /// Name of the shared-memory segment.
    pub shared_memory_name: String,
    /// Eviction policy.
    pub eviction: String,
    /// Since when, and why; absent in answers of earlier daemons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction_state: Option<EvictionReply>,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Size of the arena in bytes.
    pub capacity: u64,
    /// Bytes of it that are populated so far.
    pub populated: u64,
    /// Bytes of it that are free.
    pub free: u64,
    /// Bytes of sealed objects, exact.
    pub stored: u64,
    /// Bytes of extents that objects occupy, rounded up to whole units.
    pub allocated: u64,
    /// Bytes of extents that are being written.
    pub writing: u64,
    /// Bytes in quarantine.
    pub quarantined: u64,
    /// Bytes of the largest free extent.
    pub largest_free: u64,
    /// Sealed objects.
    pub objects: u64,
    /// Objects that are being written.
    pub writes: u64,
    /// Live leases.
    pub leases: u64,
    /// Age of the oldest live lease in seconds; 0 without one.
    pub oldest_lease_s: f64,
    /// Bytes of memory that the catalog uses, by its own account.
    pub catalog_memory: u64,
    /// The most it may use.
    pub catalog_memory_max: u64,
    /// Leases granted, and reads without a lease by the published index.
    pub hits: u64,
    /// Leases refused since the object was absent.
    pub misses: u64,
    /// Leases that expired without a release.
    pub leases_expired: u64,
    /// Objects evicted.
    pub evictions: u64,
    /// Live curve; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<CurveReply>,
    /// Tiers below the arena, fastest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierState>,
    /// All arenas of the daemon, the first one first, whose figures are those above; absent where there is
    /// only that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arenas: Vec<ArenaStats>,
    /// Quotas of tenants and buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<QuotaState>,
    /// Buckets with at least one object, by name: one page of them.
    pub buckets: Vec<BucketStats>,
    /// The `buckets_after` of the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_buckets_after: Option<String>,
}

/// One arena in numbers, since its start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ArenaStats {
    /// Its name; `default` for the first.
    pub arena: String,
    /// Tenants that have it.
    pub tenants: Vec<String>,
    /// Name of its shared-memory segment.
    pub shared_memory_name: String,
    /// Its size in bytes.
    pub capacity: u64,
    /// Bytes of it that are free.
    pub free: u64,
    /// Bytes of sealed objects, exact.
    pub stored: u64,
    /// Sealed objects.
    pub objects: u64,
    /// Live leases.
    pub leases: u64,
    /// Leases granted, and reads without a lease by the published index.
    pub hits: u64,
    /// Leases refused since the object was absent.
    pub misses: u64,
    /// Objects evicted.
    pub evictions: u64,
}

/// One bucket in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BucketStats {
    /// Its name.
    pub bucket: String,
    /// Sealed objects.
    pub objects: u64,
    /// Their bytes, exact.
    pub stored: u64,
}
