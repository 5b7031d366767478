//! Access to the state, and the drain of the catalog's change log behind it.
//!
//! A thread that gives the state back drains what was changed meanwhile before it goes on: it takes
//! the changes under the lock, and applies them outside of it. So
//!
//! * an answer leaves only when the manifest and the generations have what it says. After a kill of
//!   the daemon, an object whose store was answered is there, and one whose removal was answered is
//!   not. A granted lease comes with its generation in place;
//! * while nothing changes, as with leases, giving the state back costs a comparison.
//!
//! Two locks: the readers' first, then the state's. A drain holds the readers' from before it takes
//! changes until they are applied, so that changes are applied in their order. It holds the state's
//! only while it takes them. Applied changes are acknowledged by the next thread that locks the
//! state.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        MutexGuard,
        atomic::Ordering::{Acquire, Release},
    },
};

use kvlease_cache::{Catalog, Change, EVICTIONS_PER_CALL_MAX, Gap, Room};
use kvlease_types::WriteRefused;

use crate::{readers::Readers, shared::Shared, state::State};

/// Drains that a request for space waits for with the catalog unlocked, while other requests may
/// take the space that it made: at least these, and as many as evict each object twice.
const DRAINS_UNLOCKED: u64 = 4;

const POISONED: &str = "a panic ends the process, so no thread meets a poisoned lock";

/// The locked state. When it is given back, the changes made meanwhile are drained.
#[derive(Debug)]
pub(crate) struct StateGuard<'a> {
    shared: &'a Shared,
    /// `None` only while the lock is given back.
    locked: Option<MutexGuard<'a, State>>,
}

impl Shared {
    /// Locks the state. What was applied by then is acknowledged.
    pub(crate) fn state(&self) -> StateGuard<'_> {
        StateGuard { shared: self, locked: Some(self.lock_state()) }
    }

    /// The changes from number `from` on; of readers that fell behind see [`ChangeFeed`].
    ///
    /// [`ChangeFeed`]: kvlease_cache::ChangeFeed
    pub(crate) fn changes(&self, from: u64) -> Result<Vec<Change>, Gap> {
        Ok(self.lock_readers().feed.read(from)?.cloned().collect())
    }

    pub(crate) fn lock_state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect(POISONED);
        state.catalog.acknowledge(self.applied.load(Acquire));
        state
    }

    pub(crate) fn lock_readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().expect(POISONED)
    }

    /// Returns when all changes up to `last` are applied.
    fn drain(&self, last: u64) {
        if self.applied.load(Acquire) >= last {
            return;
        }
        let mut readers = self.lock_readers();
        // Another thread may have drained while this one waited.
        if self.applied.load(Acquire) < last {
            self.lock_state().catalog.take_changes(&mut readers.batch);
            self.apply(&mut readers);
        }
    }

    /// Applies the batch that was taken.
    fn apply(&self, readers: &mut Readers) {
        if let Some(last) = readers.apply_batch() {
            self.applied.store(last, Release);
        }
    }
}

impl<'a> StateGuard<'a> {
    /// Asks the catalog for space until it is given or refused, and drains whenever the catalog
    /// asks for that. The lock is given back on the way.
    pub(crate) fn room<T>(
        &mut self,
        mut ask: impl FnMut(&mut Catalog) -> Result<Room<T>, WriteRefused>,
    ) -> Result<T, WriteRefused> {
        // First in turns with other requests: the lock is given back for each drain.
        let turns = DRAINS_UNLOCKED + 2 * self.catalog.evictable_objects() / EVICTIONS_PER_CALL_MAX;
        for _ in 0..turns {
            if let Room::Given(space) = ask(&mut self.catalog)? {
                return Ok(space);
            }
            self.drain();
        }
        // Other requests were quicker each time: from here on they wait.
        // The readers' lock comes first, so the state's is given back to take both.
        drop(self.locked.take());
        let shared = self.shared;
        let mut readers = shared.lock_readers();
        let state = self.locked.insert(shared.lock_state());
        loop {
            if let Room::Given(space) = ask(&mut state.catalog)? {
                return Ok(space);
            }
            state.catalog.take_changes(&mut readers.batch);
            shared.apply(&mut readers);
            state.catalog.acknowledge(shared.applied.load(Acquire));
        }
    }

    /// Drains the changes made so far. The lock is given back on the way.
    fn drain(&mut self) {
        let last = self.catalog.last_change();
        // A drain takes the readers' lock first.
        drop(self.locked.take());
        self.shared.drain(last);
        self.locked = Some(self.shared.lock_state());
    }
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.locked.as_ref().expect("the lock is given back only within a call")
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.locked.as_mut().expect("the lock is given back only within a call")
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        // A panic ends the process: nothing is to be kept in step any more.
        let Some(state) = self.locked.take().filter(|_| !std::thread::panicking()) else { return };
        let last = state.catalog.last_change();
        let short = state.catalog.is_short_of_room() || state.catalog.is_short_within_quotas();
        // The changes are applied with the state unlocked.
        drop(state);
        self.shared.drain(last);
        if short {
            self.shared.room.request();
        }
    }
}
