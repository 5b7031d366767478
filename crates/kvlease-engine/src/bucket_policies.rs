//! Policies of buckets: set, removed and shown; and removal of what has expired.

use kvlease_cache::{ClassInfo, PolicyInfo, QuotaConfig};
use kvlease_types::{BucketName, BucketPolicy, ByteSize};

use crate::{clock::now, expiring::with_ttl, shared::Shared};

/// Parts of the catalog's slots in which one tick looks for expired objects: a million in 6 s.
const PARTS_PER_TICK: usize = 4;

/// Buckets with policies, and all others together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketPolicies {
    /// Those that have one, by name.
    pub policies: Vec<PolicyInfo>,
    /// All others.
    pub others: ClassInfo,
    /// The most space that pinned objects of all buckets may have.
    pub pinned_max: ByteSize,
}

impl Shared {
    /// See [`Engine::set_bucket_policy`](crate::Engine::set_bucket_policy).
    pub(crate) fn set_bucket_policy(&self, bucket: &BucketName, policy: BucketPolicy) -> bool {
        let set = {
            let mut state = self.state();
            let set = state.catalog.set_bucket_policy(bucket, policy);
            self.tiers.leave_out(with_ttl(&state.catalog.bucket_policies()));
            set
        };
        self.apply_policies();
        set
    }

    /// See [`Engine::remove_bucket_policy`](crate::Engine::remove_bucket_policy).
    pub(crate) fn remove_bucket_policy(&self, bucket: &BucketName) -> bool {
        let removed = {
            let mut state = self.state();
            let removed = state.catalog.remove_bucket_policy(bucket);
            self.tiers.leave_out(with_ttl(&state.catalog.bucket_policies()));
            removed
        };
        self.apply_policies();
        removed
    }

    /// See [`Engine::set_quotas`](crate::Engine::set_quotas).
    pub(crate) fn set_quotas(&self, quotas: &QuotaConfig) -> bool {
        let set = self.state().catalog.set_quotas(quotas);
        self.apply_policies();
        set
    }

    /// See [`Engine::bucket_policies`](crate::Engine::bucket_policies).
    pub(crate) fn bucket_policies(&self) -> BucketPolicies {
        let state = self.state();
        BucketPolicies {
            policies: state.catalog.bucket_policies(),
            others: state.catalog.unpoliced(),
            pinned_max: state.catalog.pinned_space_max(),
        }
    }

    /// Brings the objects that are there under the policies that hold. The catalog is unlocked between
    /// parts.
    fn apply_policies(&self) {
        let mut next = Some(0);
        while let Some(slot) = next {
            next = self.state().catalog.apply_policies(slot);
        }
    }

    /// Removes some of the objects whose time to live is over, from slot `next` on, where the next call
    /// goes on.
    pub(crate) fn remove_expired(&self, next: &mut u32) {
        for _ in 0..PARTS_PER_TICK {
            *next = self.state().catalog.remove_all_expired(*next, now()).unwrap_or(0);
            if *next == 0 {
                break;
            }
        }
    }
}
