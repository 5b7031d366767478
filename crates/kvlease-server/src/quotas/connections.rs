//! Limit of a tenant's connections.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use kvlease_types::TenantId;

/// Connections of a tenant, and the most of them.
#[derive(Debug)]
pub(super) struct TenantConnections {
    most: u64,
    taken: Arc<AtomicU64>,
}

/// Place of a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    pub(crate) tenant: TenantId,
    taken: Arc<AtomicU64>,
}

impl TenantConnections {
    pub(super) fn new(most: u64) -> Self {
        Self { most, taken: Arc::default() }
    }

    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Counts one more, if it is not too many.
    pub(super) fn take(&self, tenant: TenantId) -> Option<ConnectionPlace> {
        let next = |taken: u64| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, next).ok()?;
        Some(ConnectionPlace { tenant, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let (connections, tenant) = (TenantConnections::new(2), TenantId::at(0).unwrap());
        let [first, second] = [connections.take(tenant), connections.take(tenant)];
        assert!(first.is_some() && second.is_some() && connections.take(tenant).is_none());
        drop(first);
        assert!(connections.take(tenant).is_some());
        assert_eq!(connections.taken(), 1);
    }
}
