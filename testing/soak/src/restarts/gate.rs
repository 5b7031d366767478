//! Gate: clients work from the moment that a daemon serves to the one before it is killed.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::clients::Place;

/// Bucket of all objects.
pub(super) const BUCKET: &str = "restarts";

/// Gate that lets clients work, and knows when none of them does.
#[derive(Default, Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// No client is to begin a store.
    held: AtomicBool,
    /// Stores under way.
    stores: AtomicUsize,
}

#[derive(Default, Debug)]
struct State {
    place: Option<Place>,
    /// Number of times that it was opened.
    turn: u64,
    waiting: usize,
    ended: bool,
}

/// Permit for a store, from before its request to after its answer.
#[derive(Debug)]
pub(super) struct Storing<'a>(&'a Gate);

impl Gate {
    /// Waits for a turn after the `last` one; `None` when there will be none.
    pub(super) fn enter(&self, last: u64) -> Option<(u64, Place)> {
        let mut state = self.lock();
        state.waiting += 1;
        self.changed.notify_all();
        loop {
            if state.ended {
                return None;
            }
            if let Some(place) = state.place.clone().filter(|_| state.turn > last) {
                state.waiting -= 1;
                return Some((state.turn, place));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn open(&self, place: Place) {
        let mut state = self.lock();
        self.held.store(false, SeqCst);
        state.turn += 1;
        state.place = Some(place);
        self.changed.notify_all();
    }

    /// From here on calls may fail.
    pub(super) fn close(&self) {
        self.lock().place = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.look().is_some()
    }

    /// The turn, and the place of the daemon that works; `None` while the gate is closed.
    pub(super) fn look(&self) -> Option<(u64, Place)> {
        let state = self.lock();
        state.place.clone().map(|place| (state.turn, place))
    }

    /// Whether there will be no further turn.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Lets all clients end.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.place = None;
        state.ended = true;
        self.changed.notify_all();
    }

    /// Waits until as many clients wait for their turn. Returns whether they did within the limit.
    pub(super) fn await_waiting(&self, clients: usize, limit: Duration) -> bool {
        let few = |state: &mut State| state.waiting < clients;
        let waited = self.changed.wait_timeout_while(self.lock(), limit, few);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets no client begin a store until the gate is opened again.
    pub(super) fn hold_stores(&self) {
        self.held.store(true, SeqCst);
    }

    pub(super) fn nothing_is_stored(&self) -> bool {
        self.stores.load(SeqCst) == 0
    }

    /// Permit to store; `None` while stores are held.
    pub(super) fn begin_store(&self) -> Option<Storing<'_>> {
        self.stores.fetch_add(1, SeqCst);
        let storing = Storing(self);
        (!self.held.load(SeqCst)).then_some(storing)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No section can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.0.stores.fetch_sub(1, SeqCst);
    }
}
