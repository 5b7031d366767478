//! Policies of buckets: parameters and bodies of `/v1/buckets`.

use kvlease_types::{BucketPolicy, BucketPolicyError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::percent::{DecodeError, decode};

/// Reason why a query is no policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyQueryError {
    /// A parameter is not percent-encoded UTF-8.
    #[error("{source}, parameter=`{name}`")]
    Decode {
        /// The parameter, as it was sent.
        name: String,
        /// The fault.
        source: DecodeError,
    },
    /// A value does not fit its parameter, or there is no such parameter.
    #[error(transparent)]
    Policy(#[from] BucketPolicyError),
}

/// Parses the raw query of a request that gives a bucket a policy. What it does not name has its default.
/// Unknown parameters are refused: a policy without a part that was meant would be another one.
pub fn policy_of_query(raw_query: Option<&str>) -> Result<BucketPolicy, PolicyQueryError> {
    let mut policy = BucketPolicy::default();
    let pairs = raw_query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)
            .map_err(|source| PolicyQueryError::Decode { name: name.to_owned(), source })?;
        policy.set(name, &value)?;
    }
    Ok(policy)
}

/// The policy of a bucket.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReply {
    /// Objects of a lower priority leave before any of a higher one.
    pub priority: i32,
    /// Among buckets of the same priority, the one that takes the most space for its weight gives room.
    pub weight: u32,
    /// Seconds after it was stored for which an object is there at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<f64>,
    /// Beginnings of the keys whose objects eviction does not take.
    pub pinned: Vec<String>,
}

impl From<&BucketPolicy> for PolicyReply {
    fn from(policy: &BucketPolicy) -> Self {
        Self {
            priority: policy.priority,
            weight: policy.weight,
            ttl_s: policy.ttl.map(|ttl| ttl.as_secs_f64()),
            pinned: policy.pinned.clone(),
        }
    }
}

/// Buckets with a policy, and all others together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BucketsReply {
    /// Buckets with a policy, by name.
    pub buckets: Vec<PolicedBucket>,
    /// All buckets without one, which share one place among them.
    pub others: BucketUse,
    /// Bytes that pinned objects of all buckets may take; those stored beyond are not pinned.
    pub pinned_max: u64,
}

/// A bucket with a policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicedBucket {
    /// Its name.
    pub bucket: String,
    /// Its policy.
    pub policy: PolicyReply,
    /// Its objects, and those that left.
    #[serde(flatten)]
    pub usage: BucketUse,
}

/// Objects of a bucket, and those that left since it has its policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BucketUse {
    /// Sealed objects.
    pub objects: u64,
    /// Bytes of their extents, without those of objects that were chosen for eviction.
    pub taken: u64,
    /// Pinned objects.
    pub pinned_objects: u64,
    /// Bytes of their extents.
    pub pinned_taken: u64,
    /// Objects evicted.
    pub evictions: u64,
    /// Bytes of these objects, exact.
    pub evicted: u64,
    /// Objects removed since their time to live was over.
    pub expirations: u64,
    /// Objects with a pinned prefix that were not pinned, since as much as may be was.
    pub unpinned: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_query_is_a_whole_policy() {
        let raw = "priority=-2&pinned=sys%2F&ttl_s=60&pinned=few%20shot";
        let policy = policy_of_query(Some(raw)).unwrap();
        let pinned = vec!["sys/".to_owned(), "few shot".to_owned()];
        let ttl = Some(Duration::from_secs(60));
        assert_eq!(policy, BucketPolicy { priority: -2, ttl, pinned, ..BucketPolicy::default() });
        assert_eq!(policy_of_query(None), Ok(BucketPolicy::default()));
        assert_eq!(policy_of_query(Some("")), Ok(BucketPolicy::default()));
    }

    #[test]
    fn what_is_no_policy_is_named() {
        for raw in ["priority=x", "weight", "ttl_s=-1", "pinned=%zz", "ttl=5"] {
            let line = policy_of_query(Some(raw)).unwrap_err().to_string();
            assert!(line.contains(raw.split('=').next().unwrap()), "{raw}: {line}");
        }
    }
}
