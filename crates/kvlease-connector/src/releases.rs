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
    fmt::Debug,
    ops::{Deref, DerefMut},
    sync::{Arc, PoisonError},
};

use kvlease_sys::OfProcess;

use super::sync::{Handle, Mutex, MutexGuard, Notify};

/// How many leases wait for their release at most.
const RELEASES_QUEUED_MAX: usize = 16_384;

/// A lease that can be released.
pub(super) trait Release: Debug + Send + 'static {
    /// Releases it without waiting for the answer, if a connection is idle.
    fn release_unawaited(&mut self) -> bool;

    /// Releases it and waits for the answer. A failure is counted, and the lease ends by its time to
    /// live.
    fn release(self) -> impl Future<Output = ()> + Send;
}

/// The queue. The mutex is never held across an await.
#[derive(Debug)]
pub(super) struct Releases<L> {
    state: Mutex<State<L>>,
    drained: Notify,
    tasks_max: usize,
}

#[derive(Debug)]
struct State<L> {
    queue: VecDeque<L>,
    tasks: usize,
}

/// A lease that joins the queue when it is dropped. In a forked child it does nothing: the lease is
/// the parent's.
#[derive(Debug)]
pub(super) struct QueuedLease<L: Release> {
    /// Present until it is dropped.
    lease: Option<L>,
    releases: OfProcess<Arc<Releases<L>>>,
    runtime: Handle,
}

impl<L: Release> Releases<L> {
    /// An empty queue, whose leases at most `tasks_max` tasks release at a time.
    pub(super) fn new(tasks_max: usize) -> Self {
        let state = State { queue: VecDeque::new(), tasks: 0 };
        Self { state: Mutex::new(state), drained: Notify::default(), tasks_max }
    }

    /// Takes a lease over. Must be called within the runtime that will release it.
    pub(super) fn adopt(self: &Arc<Self>, lease: L) -> QueuedLease<L> {
        let releases = OfProcess::new(Arc::clone(self));
        QueuedLease { lease: Some(lease), releases, runtime: Handle::current() }
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

    fn push(self: &Arc<Self>, mut lease: L, runtime: &Handle) {
        if lease.release_unawaited() {
            return;
        }
        let mut state = self.lock();
        if state.queue.len() >= RELEASES_QUEUED_MAX {
            drop(state);
            return drop(lease);
        }
        state.queue.push_back(lease);
        if state.tasks < self.tasks_max {
            state.tasks += 1;
            drop(state);
            runtime.spawn(Task { releases: Arc::clone(self), counted: true }.run());
        }
    }

    fn announce(&self, state: &State<L>) {
        if state.tasks == 0 {
            self.drained.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the tasks. It is counted until it finds nothing to do, or until its runtime ends.
struct Task<L: Release> {
    releases: Arc<Releases<L>>,
    counted: bool,
}

impl<L: Release> Task<L> {
    async fn run(mut self) {
        while let Some(lease) = self.next() {
            lease.release().await;
        }
    }

    /// The next lease. Without one the task is not counted any more from the same moment on, so that
    /// the next lease that is queued starts another one.
    fn next(&mut self) -> Option<L> {
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

impl<L: Release> Drop for Task<L> {
    fn drop(&mut self) {
        if self.counted {
            let mut state = self.releases.lock();
            state.tasks -= 1;
            self.releases.announce(&state);
        }
    }
}

impl<L: Release> QueuedLease<L> {
    /// The runtime that releases it.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl<L: Release> Deref for QueuedLease<L> {
    type Target = L;

    fn deref(&self) -> &L {
        self.lease.as_ref().expect("present until this is dropped")
    }
}

impl<L: Release> DerefMut for QueuedLease<L> {
    fn deref_mut(&mut self) -> &mut L {
        self.lease.as_mut().expect("present until this is dropped")
    }
}

impl<L: Release> Drop for QueuedLease<L> {
    fn drop(&mut self) {
        if let (Some(lease), Some(releases)) = (self.lease.take(), self.releases.get()) {
            releases.push(lease, &self.runtime);
        }
    }
}
