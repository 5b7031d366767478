//! Quotas, as statistics show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Quota of a tenant or a bucket, and what counts for it. A limit that is absent does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct QuotaState {
    /// Owner: `tenant` or `bucket`.
    pub of: String,
    /// Name of the tenant or the bucket.
    pub name: String,
    /// Bytes of its objects in whole units, also of those that are being written; 0 without a quota of space.
    pub used: u64,
    /// Most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Bytes that others take nothing of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_guaranteed: Option<u64>,
    /// These objects.
    pub objects: u64,
    /// Most objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u64>,
    /// Live leases; 0 without a quota of leases.
    pub leases: u64,
    /// Most live leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases_max: Option<u64>,
    /// Open connections; 0 without a quota of connections.
    pub connections: u64,
    /// Most open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u64>,
    /// Most requests in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_s: Option<u64>,
    /// Puts, leases, requests and connections that were refused for want of it.
    pub refusals: u64,
}
