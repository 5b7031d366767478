//! Policies of buckets, the state in numbers, and the live curve.

use kvlease_cache::{CurveStats, PolicyInfo, QuotaConfig, QuotaUses};
use kvlease_types::{BucketName, BucketPolicy};

use super::{Engine, EngineStats};
use crate::{bucket_policies::BucketPolicies, clock::now, curve::Curve};

impl Engine {
    /// Gives a bucket a policy, in place of the one that it has. It is in force when this returns, also for
    /// the objects that are there, and for as long as the engine is. Returns false if too many buckets have
    /// one.
    pub fn set_bucket_policy(&self, bucket: &BucketName, policy: BucketPolicy) -> bool {
        self.shared.set_bucket_policy(bucket, policy)
    }

    /// Takes a bucket's policy away. Returns false if it has none.
    pub fn remove_bucket_policy(&self, bucket: &BucketName) -> bool {
        self.shared.remove_bucket_policy(bucket)
    }

    /// The policy of a bucket, and what it has; `None` if it has no policy.
    pub fn bucket_policy(&self, bucket: &BucketName) -> Option<PolicyInfo> {
        self.shared.state().catalog.bucket_policy(bucket)
    }

    /// Buckets with policies, and all others together.
    pub fn bucket_policies(&self) -> BucketPolicies {
        self.shared.bucket_policies()
    }

    /// Uses of buckets and tenants with a quota.
    pub fn quota_uses(&self) -> QuotaUses {
        self.shared.state().catalog.quota_uses()
    }

    /// Changes quotas, but which tenants have one of space and whose a bucket is: that is as at the start. What is there
    /// stays; who has more than it may makes room as it stores. Returns false if some bucket got none, since too many
    /// have a policy or a quota.
    pub fn set_quotas(&self, quotas: &QuotaConfig) -> bool {
        self.shared.set_quotas(quotas)
    }

    /// The state of the engine in numbers.
    pub fn stats(&self) -> EngineStats {
        let (catalog, eviction, is_changing) = {
            let state = self.shared.state();
            let catalog = &state.catalog;
            (catalog.stats(now()), catalog.config().eviction, catalog.is_changing_eviction())
        };
        EngineStats {
            catalog,
            eviction,
            policy: self.shared.policy.state(is_changing, now()),
            counters: self.shared.counts(),
            huge_pages: self.shared.has_huge_pages(),
            recovery: self.recovery,
            checkpoints: self.checkpoints.stats(),
            subscribers: self.shared.events.subscribers(),
        }
    }

    /// Live curve; `None` if there is none.
    pub fn curve(&self) -> Option<CurveStats> {
        self.shared.curve.as_ref().map(Curve::stats)
    }
}
