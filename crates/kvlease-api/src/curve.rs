//! The live curve, as it goes over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hit ratios that the daemon would have with other capacities and other eviction policies.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CurveReply {
    /// Sentence that says what the points do.
    pub summary: String,
    /// Whether the daemon chooses its policy by the curve.
    pub chooses: bool,
    /// References of the sample that the curve rests on, those of long ago in part.
    pub references: f64,
    /// Part of all objects that is in the sample.
    pub sample_rate: f64,
    /// Bytes of memory of the curve, by its own account.
    pub memory: u64,
    /// By policy, then from the smallest capacity to the largest.
    pub points: Vec<CurvePointReply>,
}

/// Hit ratio with one policy and one capacity.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CurvePointReply {
    /// Eviction policy.
    pub policy: String,
    /// The capacity in multiples of the arena's.
    pub times: f64,
    /// The same in bytes.
    pub capacity: u64,
    /// References that would find their object, by all references.
    pub hit_ratio: f64,
}
