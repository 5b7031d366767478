//! Limit of a tenant's connections.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use kvlease_types::TenantId;

/// Most connections without a limit.
const UNLIMITED: u64 = u64::MAX;

/// Connections of a tenant, and the most of them.
#[derive(Debug)]
pub(super) struct TenantConnections {
    most: AtomicU64,
    taken: Arc<AtomicU64>,
}

/// Place of a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    pub(crate) tenant: TenantId,
    taken: Arc<AtomicU64>,
}

impl TenantConnections {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self { most: AtomicU64::new(most.unwrap_or(UNLIMITED)), taken: Arc::default() }
    }

    pub(super) fn most(&self) -> Option<u64> {
        Some(self.most.load(Relaxed)).filter(|most| *most != UNLIMITED)
    }

    /// Changes the limit. Connections that are open stay, and count.
    pub(super) fn set(&self, most: Option<u64>) {
        self.most.store(most.unwrap_or(UNLIMITED), Relaxed);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Counts one more. An error, if that is too many, is the limit.
    pub(super) fn take(&self, tenant: TenantId) -> Result<ConnectionPlace, u64> {
        let most = self.most.load(Relaxed);
        let next = |taken: u64| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, next).map_err(|_| most)?;
        Ok(ConnectionPlace { tenant, taken: Arc::clone(&self.taken) })
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
        let (connections, tenant) = (TenantConnections::new(Some(2)), TenantId::at(0).unwrap());
        let [first, second] = [connections.take(tenant), connections.take(tenant)];
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(connections.take(tenant).unwrap_err(), 2);
        drop(first);
        assert!(connections.take(tenant).is_ok());
        assert_eq!(connections.taken(), 1);
    }

    #[test]
    fn connections_that_are_open_count_for_a_limit_that_comes_later() {
        let (connections, tenant) = (TenantConnections::new(None), TenantId::at(0).unwrap());
        let held: Vec<_> = (0..3).map(|_| connections.take(tenant).unwrap()).collect();
        connections.set(Some(2));
        assert!(connections.take(tenant).is_err());
        drop(held);
        assert!(connections.take(tenant).is_ok());
        connections.set(None);
        assert_eq!(connections.most(), None);
    }
}
