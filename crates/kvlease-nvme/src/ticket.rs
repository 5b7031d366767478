//! Right of a call to be under way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::OwnedSemaphorePermit;

/// Right of a call to be under way, given back on drop. Counts the call's bytes against its worker.
pub(crate) struct Ticket {
    _permit: OwnedSemaphorePermit,
    outstanding: Arc<AtomicU64>,
    bytes: u64,
}

impl Ticket {
    pub(crate) fn new(
        permit: OwnedSemaphorePermit,
        outstanding: &Arc<AtomicU64>,
        bytes: u64,
    ) -> Self {
        outstanding.fetch_add(bytes, Ordering::Relaxed);
        Self { _permit: permit, outstanding: Arc::clone(outstanding), bytes }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.outstanding.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
