//! State and handles that the threads of the tier share.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
};

use kvlease_tier::TierError;

use crate::{
    device::{Device, Wake},
    fingerprint::Secret,
    geometry::Geometry,
    rewrite::Log,
    state::State,
};

/// State and handles that the threads of the tier share.
pub(crate) struct Shared {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) geometry: Geometry,
    pub(crate) secret: Secret,
    state: Mutex<State>,
    /// Has the maintenance thread look for work.
    maintenance: SyncSender<()>,
    /// Stores that workers have, and the commit thread has not yet.
    storing: AtomicUsize,
    /// Threads that wait for room.
    waiting: OnceLock<Vec<Arc<dyn Wake>>>,
}

impl Shared {
    pub(crate) fn new(
        device: Arc<dyn Device>,
        geometry: Geometry,
        secret: Secret,
        state: State,
        maintenance: SyncSender<()>,
    ) -> Self {
        let state = Mutex::new(state);
        let (storing, waiting) = (AtomicUsize::new(0), OnceLock::new());
        Self { device, geometry, secret, state, maintenance, storing, waiting }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it has the state")
    }

    /// The log, to copy records in it.
    pub(crate) fn log(&self) -> Log<'_> {
        Log { device: &*self.device, geometry: &self.geometry, secret: &self.secret }
    }

    pub(crate) fn wake_maintenance(&self) {
        match self.maintenance.try_send(()) {
            // It looks for work before it waits again.
            Ok(()) | Err(TrySendError::Full(())) => {}
            // It has ended, and the tier with it.
            Err(TrySendError::Disconnected(())) => {}
        }
    }

    /// Names the threads that wait for room. Once, when all are made.
    pub(crate) fn set_waiting(&self, waiting: Vec<Arc<dyn Wake>>) {
        let is_first = self.waiting.set(waiting).is_ok();
        debug_assert!(is_first, "the threads are named once");
    }

    /// Has all who wait for room ask again.
    pub(crate) fn wake_waiting(&self) {
        self.waiting.get().into_iter().flatten().for_each(|waker| waker.wake());
    }

    /// Takes note of a store that a worker has taken.
    pub(crate) fn begin_store(&self) {
        self.storing.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of one that is the worker's no longer.
    pub(crate) fn end_store(&self) {
        self.storing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether workers have stores, so that more records may come to be synced.
    pub(crate) fn is_storing(&self) -> bool {
        self.storing.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn unpin(&self, segment: u32) {
        let is_freed = self.state().segments.unpin(segment);
        if is_freed {
            self.wake_maintenance();
        }
    }
}

/// Error of the device.
pub(crate) fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> TierError {
    move |source| TierError::Io { what, source }
}
