//! Releases in the background: no reader waits for one.
//!
//! If a connection is idle, the release goes out there at once, and its answer is read with the next
//! call. Otherwise leases that were used queue up, and a few tasks release them, so that a burst of reads leaves the
//! connections to the reads that follow. What does not fit into the queue falls back to what any
//! dropped lease does, which has a bound of its own and counts what it leaves to the time to live.
//!
//! A release that fails is counted and not tried again. One whose connection broke was sent once more
//! already; beyond that the daemon is gone, and its leases with it, or has too much to do, and a
//! lease ends by its time to live without asking anything of it. A task that waited to try again
//! would hold up the leases behind it.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Arc, PoisonError},
};

use kvlease_sys::process_id;

use super::{
    Handle, Lease, Notify, RELEASE_TASKS_MAX,
    sync::{Mutex, MutexGuard},
};

/// How many leases wait for their release at most.
const RELEASES_QUEUED_MAX: usize = 16_384;

/// The queue. The mutex is never held across an await.
#[derive(Default, Debug)]
pub(super) struct Releases {
    state: Mutex<State>,
    drained: Notify,
}

#[derive(Default, Debug)]
struct State {
    queue: VecDeque<Lease>,
    tasks: usize,
}

/// A lease that joins the queue when it is dropped. In a forked child it does nothing: the lease is
/// the parent's.
#[derive(Debug)]
pub(super) struct QueuedLease {
    /// There until it is dropped.
    lease: Option<Lease>,
    releases: Arc<Releases>,
    runtime: Handle,
    pid: u32,
}

impl Releases {
    /// Takes a lease over. Must be called within the runtime that will release it.
    pub(super) fn adopt(self: &Arc<Self>, lease: Lease) -> QueuedLease {
        let (releases, runtime) = (Arc::clone(self), Handle::current());
        QueuedLease { lease: Some(lease), releases, runtime, pid: process_id() }
    }

    /// Waits until nothing is queued or under way.
    pub(super) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.lock().tasks == 0 {
                return;
            }
            drained.await;
        }
    }

    fn push(self: &Arc<Self>, mut lease: Lease, runtime: &Handle) {
        if lease.release_unawaited() {
            return;
        }
        let mut state = self.lock();
        if state.queue.len() >= RELEASES_QUEUED_MAX {
            drop(state);
            return drop(lease);
        }
        state.queue.push_back(lease);
        if state.tasks < RELEASE_TASKS_MAX {
            state.tasks += 1;
            drop(state);
            runtime.spawn(Task { releases: Arc::clone(self), counted: true }.run());
        }
    }

    fn announce(&self, state: &State) {
        if state.tasks == 0 {
            self.drained.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the tasks. It is counted until it finds nothing to do, or until its runtime ends.
struct Task {
    releases: Arc<Releases>,
    counted: bool,
}

impl Task {
    async fn run(mut self) {
        while let Some(lease) = self.next() {
            // A failure is counted, and the lease ends by its time to live.
            let _ = lease.release().await;
        }
    }

    /// The next lease. Without one the task is not counted any more from the same moment on, so that
    /// whoever queues another lease starts another task.
    fn next(&mut self) -> Option<Lease> {
        let mut state = self.releases.lock();
        let lease = state.queue.pop_front();
        if lease.is_none() {
            state.tasks -= 1;
            self.counted = false;
            self.releases.announce(&state);
        }
        lease
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.counted {
            let mut state = self.releases.lock();
            state.tasks -= 1;
            self.releases.announce(&state);
        }
    }
}

impl QueuedLease {
    /// Where it is released.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Deref for QueuedLease {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        self.lease.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for QueuedLease {
    fn deref_mut(&mut self) -> &mut Lease {
        self.lease.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for QueuedLease {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if self.pid == process_id() {
            self.releases.push(lease, &self.runtime);
        }
    }
}
