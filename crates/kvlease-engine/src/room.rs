//! Eviction ahead of need: keeps space free, so that writes need not wait for eviction.
//!
//! Victims are chosen under the lock, and given up under it. With tiers they are handed over to one in
//! between, which gives them up when it has a copy.

use std::sync::mpsc::{Receiver, TryRecvError};

use kvlease_cache::{VICTIMS_BATCH, Victim};

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

/// Evicts until the free target is restored, and room within quotas, a bounded number of objects under each lock.
pub(crate) fn evict_ahead(shared: &Shared) {
    loop {
        let victims = choose(shared);
        if victims.is_empty() {
            return;
        }
        if !shared.tiers.is_empty() {
            for victim in victims {
                shared.hand_over(victim);
            }
            continue;
        }
        let mut state = shared.state();
        for victim in &victims {
            state.catalog.give_up(victim, false);
        }
    }
}

/// Chooses what leaves next, for the room of the arena first.
fn choose(shared: &Shared) -> Vec<Victim> {
    let mut state = shared.state();
    let victims = state.catalog.victims(VICTIMS_BATCH);
    if victims.is_empty() { state.catalog.victims_within_quotas(VICTIMS_BATCH) } else { victims }
}
