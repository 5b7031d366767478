//! Quotas, as a catalog is given them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use kvlease_types::{BucketName, Quota, TenantId};

/// Quotas that a catalog works within.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct QuotaConfig {
    /// Of buckets.
    pub buckets: BTreeMap<BucketName, Quota>,
    /// Of tenants, by their places.
    pub tenants: Vec<Quota>,
    /// Which tenant each bucket counts for.
    pub owners: BucketOwners,
}

/// Tenant that a bucket counts for, by the name of the bucket alone: so it is the same after a restart.
#[derive(Clone, Default)]
pub struct BucketOwners(Option<Arc<OwnerOf>>);

type OwnerOf = dyn Fn(&str) -> Option<TenantId> + Send + Sync;

impl BucketOwners {
    /// Buckets whose tenants a function tells.
    pub fn new(owner_of: impl Fn(&str) -> Option<TenantId> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(owner_of)))
    }

    /// The tenant that a bucket counts for.
    pub fn of(&self, bucket: &str) -> Option<TenantId> {
        self.0.as_ref().and_then(|owner_of| owner_of(bucket))
    }
}

impl PartialEq for BucketOwners {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for BucketOwners {}

impl fmt::Debug for BucketOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "BucketOwners" } else { "NoBucketOwners" })
    }
}
