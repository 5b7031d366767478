//! Renewals: leases that are kept alive for as long as their guards live.
//!
//! One task for each connection, while it has such leases, renews a batch with one frame when half
//! of its time is over. What has ended meanwhile costs it nothing.

use std::{
    fmt::Debug,
    pin::Pin,
    sync::{
        Arc, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::sync::{Handle, Mutex, MutexGuard, Notify, sleep_until};

/// How many batches are listed before those that are gone are looked for.
const LISTED_MIN: usize = 64;

/// A batch of leases some of which are to be renewed.
pub(super) trait Renew: Debug + Send + Sync {
    /// Whether a list of renewals has it.
    fn listed(&self) -> &AtomicBool;

    /// The runtime that renews it.
    fn runtime(&self) -> &Handle;

    /// When the leases that are to be renewed have half of their time left; `None` if there are
    /// none.
    fn due(&self) -> Option<Instant>;

    /// Renews the leases that are to be renewed, within `limit`. Those that have ended are left out
    /// from now on.
    fn renew(&self, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The batches of one connection with leases to renew. Never locked across an await.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    state: Mutex<State>,
    /// Signals that something is due before the task would wake.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: Vec<Weak<dyn Renew>>,
    /// At how many the ones that are gone are looked for.
    sweep_at: usize,
    /// When the task wakes; `None` if there is no task.
    wakes: Option<Instant>,
}

impl Renewals {
    /// Renews leases of the batch from now on, first at `due`.
    pub(super) fn add<B: Renew + 'static>(
        self: &Arc<Self>,
        batch: &Arc<B>,
        due: Instant,
        limit: Duration,
    ) {
        let mut state = self.lock();
        if !batch.listed().swap(true, Ordering::Relaxed) {
            if state.batches.len() >= state.sweep_at {
                state.batches.retain(|batch| batch.strong_count() > 0);
                state.sweep_at = LISTED_MIN.max(2 * state.batches.len());
            }
            let batch: Weak<B> = Arc::downgrade(batch);
            state.batches.push(batch);
        }
        match state.wakes {
            Some(wakes) if wakes <= due => {}
            Some(_) => self.earlier.notify_one(),
            None => {
                state.wakes = Some(due);
                drop(state);
                // A runtime that has ended drops the task at once, which takes the lock.
                let task = Task { renewals: Arc::clone(self), ended: false };
                batch.runtime().spawn(task.run(limit));
            }
        }
    }

    /// The batches that are due, and when the next one is; `None` if there is none, and then there
    /// is no task any more. Batches with nothing to renew leave the list.
    fn take_due(&self) -> (Vec<Arc<dyn Renew>>, Option<Instant>) {
        let (now, mut due, mut next) = (Instant::now(), Vec::new(), None::<Instant>);
        let mut state = self.lock();
        state.batches.retain(|batch| {
            let Some(batch) = batch.upgrade() else { return false };
            let Some(moment) = batch.due() else {
                batch.listed().store(false, Ordering::Relaxed);
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
            let (due, next) = self.renewals.take_due();
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
                batch.renew(limit).await;
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
