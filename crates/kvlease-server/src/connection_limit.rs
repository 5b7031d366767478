//! Limit of the connections that are served at the same time, over one listener.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Permits for connections. A permit is taken before `accept`, so excess connections wait in the
/// listen backlog.
pub(crate) struct ConnectionLimit {
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl ConnectionLimit {
    pub(crate) fn new(connections_max: usize, metrics: &Arc<Metrics>) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max));
        Self { permits, metrics: Arc::clone(metrics) }
    }

    /// A permit, once there is one. It is free again when this is dropped.
    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.metrics.connections_full();
                let permit = Arc::clone(&self.permits).acquire_owned().await;
                permit.expect("the semaphore is never closed")
            }
        }
    }
}
