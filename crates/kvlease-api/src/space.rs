//! The JSON bodies about what the arena and the tiers have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the arena among the tiers.
pub const MEMORY: &str = "memory";

/// One page of a bucket's listing.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ListReply {
    /// Objects in no particular order. One that stays where it is during the whole listing appears
    /// once; one that moves between tiers may appear twice.
    pub objects: Vec<ListedObject>,
    /// Where a listing of the arena goes on; absent on its last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u32>,
    /// Where the listing goes on, in the arena or in a tier; absent on the last page, and if the
    /// request had a number as its cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Tiers whose objects are missing from here on, since they did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<UnansweredTier>,
}

impl ListReply {
    /// The cursor of the next page; `None` on the last one. A daemon without tiers in its listings
    /// knows numbers alone.
    pub fn cursor(&self) -> Option<String> {
        self.next.clone().or_else(|| self.next_cursor.map(|number| number.to_string()))
    }
}

/// One object of a listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ListedObject {
    /// Its key, decoded.
    pub key: String,
    /// Its length in bytes.
    pub len: u64,
    /// XXH3-64 (seed 0) of its bytes, 16 hexadecimal digits. Absent only if no place that was looked
    /// at tells it without reading the object: a shared store that lists names and lengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// How many leases on it are live.
    pub leases: u64,
    /// Seconds since it was stored; in memory alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// Where it is, as far as that is known without asking a store: `memory`, or the kind of a tier as
    /// in the metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<String>,
}

/// Tier that did not answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UnansweredTier {
    /// Its kind.
    pub tier: String,
    /// The reason, for people.
    pub reason: String,
}

/// Every place of one object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TiersReply {
    /// The places that have it, fastest first: at least one.
    pub held: Vec<HeldObject>,
    /// Tiers that did not answer, and may have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<UnansweredTier>,
}

/// An object in one place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HeldObject {
    /// `memory`, or the kind of the tier.
    pub tier: String,
    /// Its length in bytes.
    pub len: u64,
    /// XXH3-64 (seed 0) of its bytes, 16 hexadecimal digits.
    pub checksum: String,
    /// How many leases on it are live; in memory alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<u64>,
}

/// State of a tier below the arena in numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TierState {
    /// Its kind, as in the metrics: `nvme`, `s3`, `valkey`.
    pub tier: String,
    /// Where it is: a path or a URL without credentials.
    pub place: String,
    /// Way in which its bytes move, where there are several: `io_uring, direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Whether other nodes use the same store.
    pub shared: bool,
    /// Buckets that are written through: `all`, `none`, or their names.
    pub write_through: String,
    /// Whether it is left alone since it fails.
    pub broken: bool,
    /// Objects in it, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// Bytes that they take, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Bytes that it may take, if it has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// Objects that wait to be copied to it.
    pub queued: u64,
    /// The most that may wait.
    pub queued_max: u64,
    /// Objects that are being copied to it, and do not wait any more.
    #[serde(default)]
    pub copying: u64,
    /// Objects that gave their place to newer ones since the start, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
    /// Bytes a second of its loads; absent before there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_rate: Option<u64>,
    /// Bytes a second below which loads are left out; absent if they never are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_rate_min: Option<u64>,
    /// Whether loads are left out since computing again is quicker.
    pub slow: bool,
    /// Totals since the start, with the names of the metrics: `hits` is that of
    /// `kvlease_tier_hits_total`.
    pub totals: BTreeMap<String, Total>,
}

/// A total.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Total {
    /// Events, objects or bytes.
    Count(u64),
    /// Seconds.
    Seconds(f64),
}
