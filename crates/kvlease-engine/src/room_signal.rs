//! Signal that starts eviction ahead of need.

use std::sync::{Condvar, Mutex, MutexGuard};

/// Request for eviction, from the threads that find little space to the one that makes more.
#[derive(Default, Debug)]
pub(crate) struct RoomSignal {
    requested: Mutex<bool>,
    changed: Condvar,
}

impl RoomSignal {
    /// Wakes the thread that evicts.
    pub(crate) fn request(&self) {
        let mut requested = self.lock();
        if !*requested {
            *requested = true;
            self.changed.notify_one();
        }
    }

    /// Whether the thread that evicts has not taken the last request yet.
    pub(crate) fn is_requested(&self) -> bool {
        *self.lock()
    }

    /// Waits for a request, and takes it.
    pub(crate) fn wait(&self) {
        let requested = self.changed.wait_while(self.lock(), |requested| !*requested);
        *requested.expect("a panic ends the process") = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.requested.lock().expect("a panic ends the process")
    }
}
