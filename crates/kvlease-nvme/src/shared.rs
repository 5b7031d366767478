//! State and handles that the threads of the tier share.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        mpsc::{SyncSender, TrySendError},
    },
};

use kvlease_tier::TierError;

use crate::{
    device::{Device, Wake},
    fingerprint::Secret,
    geometry::Geometry,
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
        Self { device, geometry, secret, state, maintenance, waiting: OnceLock::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it has the state")
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
