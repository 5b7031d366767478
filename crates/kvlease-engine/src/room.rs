//! Eviction ahead of need: keeps space free, so that writes need not wait for eviction.
//!
//! Victims are chosen under the lock, handed over without it, and given up under it. No tier is there
//! yet that they could be handed over to.

use std::sync::mpsc::{Receiver, TryRecvError};

use kvlease_cache::VICTIMS_BATCH;

use crate::shared::Shared;

/// Evicts on request until it is stopped, which must be followed by a request.
pub(crate) fn keep_room(shared: &Shared, stopped: &Receiver<()>) {
    loop {
        shared.room.wait();
        if stopped.try_recv() != Err(TryRecvError::Empty) {
            return;
        }
        evict_ahead(shared);
    }
}

/// Evicts until the free target is restored, a bounded number of objects under each lock.
pub(crate) fn evict_ahead(shared: &Shared) {
    loop {
        let victims = shared.state().catalog.victims(VICTIMS_BATCH);
        if victims.is_empty() {
            return;
        }
        let mut state = shared.state();
        for victim in &victims {
            state.catalog.give_up(victim, false);
        }
    }
}
