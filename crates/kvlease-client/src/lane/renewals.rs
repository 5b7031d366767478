//! Leases that are renewed for as long as their guards live.
//!
//! One task for each connection, while it has such leases, renews a batch with one frame when half
//! of its time is over. What has ended meanwhile costs it nothing.

use std::{
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Notify,
    batch::Batch,
    sync::{Mutex, MutexGuard},
    time::sleep_until,
};

/// How many batches are listed before those that are gone are looked for.
const LISTED_MIN: usize = 64;

/// The batches of one connection with leases to renew. Never locked across an await.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    state: Mutex<State>,
    /// Told when something is due before the task would wake.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: Vec<Weak<Batch>>,
    /// At how many the ones that are gone are looked for.
    forget_at: usize,
    /// When the task wakes; `None` if there is no task.
    wakes: Option<Instant>,
}

impl Renewals {
    /// A lease of the batch is to be renewed from now on, and is due then.
    pub(super) fn add(self: &Arc<Self>, batch: &Arc<Batch>, due: Instant, limit: Duration) {
        let mut state = self.lock();
        if !batch.listed.swap(true, Ordering::Relaxed) {
            if state.batches.len() >= state.forget_at {
                state.batches.retain(|batch| batch.strong_count() > 0);
                state.forget_at = LISTED_MIN.max(2 * state.batches.len());
            }
            state.batches.push(Arc::downgrade(batch));
        }
        match state.wakes {
            Some(wakes) if wakes <= due => {}
            Some(_) => self.earlier.notify_one(),
            None => {
                state.wakes = Some(due);
                drop(state);
                // A runtime that has ended drops the task at once, which takes the lock.
                let task = Task { renewals: Arc::clone(self), ended: false };
                batch.runtime.spawn(task.run(limit));
            }
        }
    }

    /// The batches that are due, and when the next one is; `None` if there is none, and then there
    /// is no task any more. Batches with nothing to renew leave the list.
    fn turn(&self) -> (Vec<Arc<Batch>>, Option<Instant>) {
        let (now, mut due, mut next) = (Instant::now(), Vec::new(), None::<Instant>);
        let mut state = self.lock();
        state.batches.retain(|batch| {
            let Some(batch) = batch.upgrade() else { return false };
            let Some(moment) = batch.due() else {
                batch.listed.store(false, Ordering::Relaxed);
                return false;
            };
            next = Some(next.map_or(moment, |next| next.min(moment)));
            if moment <= now {
                due.push(batch);
            }
            true
        });
        state.wakes = next;
        (due, next)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task. If its runtime ends before it does, the next lease to be renewed starts another one.
struct Task {
    renewals: Arc<Renewals>,
    ended: bool,
}

impl Task {
    async fn run(mut self, limit: Duration) {
        loop {
            let (due, next) = self.renewals.turn();
            let Some(next) = next else {
                self.ended = true;
                return;
            };
            if due.is_empty() {
                tokio::select! {
                    biased;
                    () = sleep_until(next.into()) => {}
                    () = self.renewals.earlier.notified() => {}
                }
            }
            for batch in due {
                batch.renew_kept(limit).await;
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            self.renewals.lock().wakes = None;
        }
    }
}
