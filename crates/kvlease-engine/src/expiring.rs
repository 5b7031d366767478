//! Buckets whose objects expire.

use kvlease_cache::PolicyInfo;

/// Names of the buckets whose objects have a time to live.
pub(crate) fn with_ttl(policies: &[PolicyInfo]) -> impl Iterator<Item = String> {
    let expiring = policies.iter().filter(|info| info.policy.ttl.is_some());
    expiring.map(|info| info.bucket.as_str().to_owned())
}
