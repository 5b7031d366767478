//! References, which a thread shows to the live curve with the catalog unlocked. It changes the eviction policy
//! if it is to.
//!
//! Objects are handed over to another policy in parts, each of which holds the catalog's lock for some tenths of a
//! millisecond. Between two of them the lock is free for several times as long.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use kvlease_cache::{HAND_OVER_BATCH, PolicyChoice, References, Successor};

use crate::{clock::now, shared::Shared};

/// Time between two looks at the references.
const TICK: Duration = Duration::from_millis(100);

/// Time between two parts of a change.
const PAUSE: Duration = Duration::from_millis(1);

/// Follows the references until it is stopped.
pub(crate) fn follow_references(shared: &Shared, stopped: &Receiver<()>) {
    let mut batch = References::default();
    let (mut is_changing, mut followed) = (false, now());
    loop {
        let pause = if is_changing { PAUSE } else { TICK };
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let is_due = !is_changing || now().since(followed) >= TICK;
        is_changing = is_changing && hand_over(shared);
        if is_due {
            followed = now();
            if let Some(choice) = follow(shared, &mut batch, is_changing) {
                is_changing = change(shared, choice);
            }
        }
    }
}

/// Shows the curve what was noted. Returns the policy that it chooses, if it may.
fn follow(shared: &Shared, batch: &mut References, is_changing: bool) -> Option<PolicyChoice> {
    let curve = shared.curve.as_ref()?;
    let (capacity, current) = {
        let mut state = shared.state();
        state.catalog.take_references(batch);
        (state.catalog.evictable_capacity(), state.catalog.config().eviction)
    };
    let mut live = curve.lock();
    let before = live.hash_max();
    live.observe(batch, capacity, now());
    let hash_max = live.hash_max();
    let may_choose = shared.config.eviction_auto && !is_changing;
    let choice = if may_choose { live.better_policy(current, now()) } else { None };
    drop(live);
    if hash_max != before {
        shared.state().catalog.watch_references(hash_max);
    }
    choice
}

/// Puts the policy that was chosen in force. Returns whether objects are to be handed over.
fn change(shared: &Shared, choice: PolicyChoice) -> bool {
    // Its tables are large: they are made with the catalog unlocked.
    let slots = shared.state().catalog.slots();
    let successor = Successor::new(choice.policy, slots);
    if shared.state().catalog.change_eviction(successor).is_err() {
        return true;
    }
    shared.policy.change(choice, now());
    shared.counters.eviction_changes.increment();
    let percent = |ratio: f64| format!("{:.1} %", ratio * 100.0);
    tracing::info!(
        before = %choice.before, now = %choice.policy,
        hits_before = percent(choice.hit_ratio_before), hits = percent(choice.hit_ratio),
        references = choice.references.round(),
        "the live curve chose another eviction policy"
    );
    true
}

/// Hands a part of the objects over. Returns whether there are more.
fn hand_over(shared: &Shared) -> bool {
    let former = shared.state().catalog.hand_over(HAND_OVER_BATCH);
    // Its memory is given back with the catalog unlocked.
    former.is_none()
}
