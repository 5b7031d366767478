//! State of the daemon: its age, and whether it takes work.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use kvlease_types::Epoch;

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

    /// Whether new work is taken.
    pub(crate) fn check(&self) -> Result<(), Draining> {
        if self.draining.load(Relaxed) { Err(Draining) } else { Ok(()) }
    }
}

/// The daemon is shutting down and takes no new work.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the daemon is shutting down: try again once it has been restarted")]
pub(crate) struct Draining;
