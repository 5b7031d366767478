//! References, which a thread shows to the live curve with the catalog unlocked. It changes the eviction policy
//! if it is to.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use kvlease_cache::References;

use crate::{clock::now, shared::Shared};

/// Time between two looks at the references.
const TICK: Duration = Duration::from_millis(100);

/// Follows the references until it is stopped.
pub(crate) fn follow_references(shared: &Shared, stopped: &Receiver<()>) {
    let Some(curve) = &shared.curve else { return };
    let mut batch = References::default();
    while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let (capacity, current) = {
            let mut state = shared.state();
            state.catalog.take_references(&mut batch);
            (state.catalog.evictable_capacity(), state.catalog.config().eviction)
        };
        let mut live = curve.lock();
        let before = live.hash_max();
        live.observe(&batch, capacity, now());
        let hash_max = live.hash_max();
        let better = match shared.config.eviction_auto {
            true => live.better_policy(current, now()),
            false => None,
        };
        drop(live);
        if hash_max != before {
            shared.state().catalog.watch_references(hash_max);
        }
        if let Some(better) = better {
            shared.state().catalog.change_eviction(better);
            shared.counters.eviction_changes.increment();
            tracing::info!(
                before = %current, now = %better,
                "the live curve chose another eviction policy"
            );
        }
    }
}
