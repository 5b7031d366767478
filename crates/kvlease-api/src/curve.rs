//! The live curve and the eviction policy that may be chosen by it, as they go over HTTP.

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

/// The eviction policy in force, and why it is that one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EvictionReply {
    /// The policy.
    pub policy: String,
    /// `cache.eviction` as configured: a policy, or `auto`.
    pub setting: String,
    /// Seconds for which it has been in force.
    pub in_force_s: f64,
    /// Whether objects are still being handed over to it.
    pub changing: bool,
    /// How often the daemon has chosen another policy since it started.
    pub changes: u64,
    /// Sentence that says why it is this policy.
    pub reason: String,
    /// Hit ratio of each policy with the arena's capacity, as the curve has it now; absent without a curve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hit_ratios: Vec<PolicyHitRatio>,
    /// Figures of the curve at the last change; absent before one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<ChosenReply>,
}

/// Hit ratio with one policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicyHitRatio {
    /// Eviction policy.
    pub policy: String,
    /// References that would find their object, by all references.
    pub hit_ratio: f64,
}

/// Figures of the curve when the policy was chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChosenReply {
    /// The policy before.
    pub before: String,
    /// Its hit ratio.
    pub hit_ratio_before: f64,
    /// Hit ratio of the policy that was chosen.
    pub hit_ratio: f64,
    /// References of the sample that both rest on.
    pub references: f64,
}
