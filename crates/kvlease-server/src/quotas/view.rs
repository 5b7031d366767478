//! Quotas that one arena shows: the first one those of all, any other one its own.

use std::sync::Arc;

use kvlease_engine::Engine;
use kvlease_types::{QuotaOf, TenantId};

use crate::config::{Config, FIRST_ARENA};

/// See the module.
pub(crate) struct QuotaView {
    engines: Vec<Arc<Engine>>,
    /// Names of the tenants that are shown, by the places of all.
    tenants: Vec<Option<String>>,
    has_buckets: bool,
}

impl QuotaView {
    /// View of the arena of this name, with the engines whose objects count.
    pub(crate) fn new(engines: Vec<Arc<Engine>>, config: &Config, arena: &str) -> Self {
        let is_first = arena == FIRST_ARENA;
        let tenants = config.tenants.iter();
        let tenants = tenants
            .map(|(name, tenant)| (is_first || tenant.is_in(arena)).then(|| name.clone()))
            .collect();
        Self { engines, tenants, has_buckets: is_first }
    }

    pub(super) fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Name of a tenant, if it is shown.
    pub(super) fn tenant(&self, tenant: TenantId) -> Option<&str> {
        self.tenants.get(tenant.place())?.as_deref()
    }

    /// Whether a quota is shown.
    pub(super) fn has(&self, of: QuotaOf, name: &str) -> bool {
        match of {
            QuotaOf::Tenant => self.tenants.iter().flatten().any(|shown| shown == name),
            QuotaOf::Bucket => self.has_buckets,
        }
    }
}
