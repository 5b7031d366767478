//! Tenant of a connection.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering::Relaxed},
};

use kvlease_types::TenantId;

/// The tenant of a connection: that of its latest request.
#[derive(Clone, Default, Debug)]
pub(crate) struct ConnectionTenant(Arc<AtomicU16>);

impl ConnectionTenant {
    /// That of a connection whose tenant is known.
    pub(crate) fn of(tenant: TenantId) -> Self {
        Self(Arc::new(tenant.number().into()))
    }

    /// Tells whose request came.
    pub(crate) fn tell(&self, tenant: TenantId) {
        self.0.store(tenant.number(), Relaxed);
    }

    /// The tenant; `None` before the first request.
    pub(super) fn get(&self) -> Option<TenantId> {
        usize::from(self.0.load(Relaxed)).checked_sub(1).and_then(TenantId::at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(place: usize) -> TenantId {
        TenantId::at(place).unwrap()
    }

    #[test]
    fn a_connection_is_of_the_tenant_whose_request_came_last() {
        let whose = ConnectionTenant::default();
        assert_eq!(whose.get(), None);
        for place in [0, 1023] {
            whose.tell(tenant(place));
            assert_eq!(whose.get(), Some(tenant(place)));
        }
        assert_eq!(ConnectionTenant::of(tenant(7)).get(), Some(tenant(7)));
    }
}
