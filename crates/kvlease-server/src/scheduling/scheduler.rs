//! Scheduler: the turns of all tenants.

use std::{
    cell::Cell,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use kvlease_types::TenantId;
use tokio::runtime::Handle;

use super::{
    activity::Activity,
    turn_queue::{TurnQueue, Waiting},
};

/// How long a thread works for a tenant before it gives way, while another tenant is active.
const GIVE_WAY_AFTER: Duration = Duration::from_micros(100);

/// Queues of all tenants, and who was at work lately.
pub(crate) struct TenantScheduler {
    activity: Activity,
    /// Threads of the runtime.
    threads: usize,
    /// By the places of tenants.
    queues: Vec<TurnQueue>,
}

impl TenantScheduler {
    /// The scheduler of this number of tenants; `None` if there are no two.
    pub(crate) fn new(tenants: usize) -> Option<Self> {
        let threads = Handle::try_current().map_or(1, |handle| handle.metrics().num_workers());
        (tenants > 1).then(|| Self::of_threads(tenants, threads))
    }

    /// The same on this number of threads.
    pub(super) fn of_threads(tenants: usize, threads: usize) -> Self {
        Self {
            activity: Activity::new(),
            threads,
            queues: (0..tenants).map(|_| TurnQueue::default()).collect(),
        }
    }

    /// Puts a connection into the queue of its tenant. [`TenantScheduler::leave`] has to follow a turn that it is
    /// granted.
    pub(super) fn ask(&self, tenant: TenantId, turn: Arc<dyn Waiting>) {
        let others_are_active = self.activity.note(tenant, self.activity.now());
        let (queue, most) = (self.queue(tenant), self.most(others_are_active));
        queue.enter(turn);
        self.grant(queue, most, queue.next(most));
    }

    /// Takes the turn of a connection back.
    pub(super) fn leave(&self, tenant: TenantId) {
        let others_are_active = self.activity.others_are_active(tenant, self.activity.now());
        if others_are_active {
            give_way();
        }
        let (queue, most) = (self.queue(tenant), self.most(others_are_active));
        self.grant(queue, most, queue.leave(most));
    }

    /// Takes a connection out of the queue that ends.
    pub(super) fn give_up(&self, tenant: TenantId, turn: &dyn Waiting) {
        self.queue(tenant).give_up(turn);
    }

    /// Grants turns, to this connection and to those behind it, as long as there are any.
    fn grant(&self, queue: &TurnQueue, most: usize, mut next: Option<Arc<dyn Waiting>>) {
        while let Some(turn) = next {
            // The connection may have ended meanwhile.
            next = if turn.grant() { queue.next(most) } else { queue.leave(most) };
        }
    }

    fn queue(&self, tenant: TenantId) -> &TurnQueue {
        &self.queues[tenant.place()]
    }

    /// Most connections of a tenant that are at work at a time.
    fn most(&self, others_are_active: bool) -> usize {
        if others_are_active { (self.threads / 2).max(1) } else { self.threads }
    }
}

/// Gives the processor to who waits for it, if this thread has not done so for a while.
///
/// Linux lets a thread that never sleeps run until the next tick of its timer, which may be 4 ms. The turn is still
/// taken meanwhile: another thread that took up the tenant's work would have its processor for as long.
fn give_way() {
    thread_local!(static LATEST: Cell<Instant> = Cell::new(Instant::now()));
    let now = Instant::now();
    if now.duration_since(LATEST.get()) >= GIVE_WAY_AFTER {
        LATEST.set(now);
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_all_threads_alone_and_half_of_them_beside_another() {
        let most = |threads| {
            let scheduler = TenantScheduler::of_threads(2, threads);
            [false, true].map(|others_are_active| scheduler.most(others_are_active))
        };
        assert_eq!([8, 3, 1].map(most), [[8, 4], [3, 1], [1, 1]]);
        assert!(TenantScheduler::new(1).is_none() && TenantScheduler::new(2).is_some());
    }
}
