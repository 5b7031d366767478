//! Whether the daemon takes work, and since when it lives.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use kvlease_api::ErrorCode;
use kvlease_types::Epoch;

use crate::http::Refusal;

/// The life of this incarnation of the daemon.
#[derive(Debug)]
pub(crate) struct Status {
    epoch: Epoch,
    started: Instant,
    draining: AtomicBool,
}

impl Status {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, started: Instant::now(), draining: AtomicBool::new(false) }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// From here on no new object and no new lease is taken; releases still are.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(crate) fn refuse_while_draining(&self) -> Result<(), Refusal> {
        if self.draining.load(Relaxed) {
            let message = "the daemon is shutting down: try again once it has been restarted";
            return Err(Refusal::new(ErrorCode::Unavailable, message));
        }
        Ok(())
    }
}
