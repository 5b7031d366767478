//! Scheduling of tenants: how many connections of one are at work at a time, while another one has work.
//!
//! The runtime runs tasks in the order in which they can go on. The connections of a busy tenant would fill that
//! order, and a request of another one would wait behind each of them. So a connection of a tenant waits in its
//! tenant's own queue while as many of its connections are at work as may be: as many as there are threads, and half
//! of them while another tenant is active. Then a request meets one connection of another tenant, and not all, and
//! finds a thread that waits for it.
//!
//! A connection is at work while the runtime polls its task, and no longer: one that waits for its client, for a tier
//! or for another request takes no turn from others. Without tenants, or with one, there are no turns.

mod task;
mod wait_queue;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Instant,
};

use kvlease_types::TenantId;
use tokio::runtime::Handle;

pub(crate) use task::ScheduledTask;
use wait_queue::WaitQueue;

/// How long a tenant counts as active since it was at work, in milliseconds. The first request after a longer pause
/// may find all threads taken.
const ACTIVE_MS: u64 = 100;

/// Queues of all tenants, and who was at work lately.
#[derive(Debug)]
pub(crate) struct TenantScheduler {
    started: Instant,
    /// Threads of the runtime.
    threads: usize,
    /// By the places of tenants.
    queues: Vec<WaitQueue>,
    /// The two tenants that were at work last, each with when, see [`Work`].
    latest: [AtomicU64; 2],
}

/// The tenant of a connection: that of its latest request.
#[derive(Clone, Default, Debug)]
pub(crate) struct ConnectionTenant(Arc<AtomicU16>);

/// A tenant and the millisecond in which it was at work, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Work(u64);

impl TenantScheduler {
    /// The scheduler of this number of tenants; `None` if there are no two.
    pub(crate) fn new(tenants: usize) -> Option<Self> {
        let threads = Handle::try_current().map_or(1, |handle| handle.metrics().num_workers());
        (tenants > 1).then(|| Self::of_threads(tenants, threads))
    }

    fn of_threads(tenants: usize, threads: usize) -> Self {
        Self {
            started: Instant::now(),
            threads,
            queues: (0..tenants).map(|_| WaitQueue::default()).collect(),
            latest: Default::default(),
        }
    }

    /// Begins the turn of a connection, which may have a place in its queue already. Without a turn, it has a place
    /// then, and is woken for its next try. [`TenantScheduler::end`] has to follow a turn.
    fn begin(&self, tenant: TenantId, place: &mut Option<u64>, waker: &Waker, now: u64) -> bool {
        let most = self.most(self.note(tenant, now));
        self.queue(tenant).enter(most, place, waker)
    }

    /// Ends a turn.
    fn end(&self, tenant: TenantId, now: u64) {
        let most = self.most(self.others_are_active(tenant, now));
        self.queue(tenant).leave(most).into_iter().for_each(Waker::wake);
    }

    /// Gives up the place of a connection that ends.
    fn give_up(&self, tenant: TenantId, place: u64, now: u64) {
        let most = self.most(self.others_are_active(tenant, now));
        self.queue(tenant).give_up(most, place).into_iter().for_each(Waker::wake);
    }

    fn queue(&self, tenant: TenantId) -> &WaitQueue {
        &self.queues[tenant.place()]
    }

    /// Most connections of a tenant that are at work at a time.
    fn most(&self, others_are_active: bool) -> usize {
        if others_are_active { (self.threads / 2).max(1) } else { self.threads }
    }

    /// Notes that a tenant is at work. Returns whether another one was lately.
    ///
    /// Two tenants tell it: of any number of them that take turns, one of the two latest is another one.
    fn note(&self, tenant: TenantId, now: u64) -> bool {
        let latest = self.latest.each_ref().map(|word| Work(word.load(Relaxed)));
        let own = latest.iter().position(|work| work.number() == tenant.number());
        let place = own.unwrap_or_else(|| usize::from(latest[1].at() < latest[0].at()));
        let work = Work::new(tenant, now);
        // Written once in a millisecond, and not by each connection.
        if latest[place] != work {
            self.latest[place].store(work.0, Relaxed);
        }
        latest.iter().any(|work| work.is_of_other(tenant, now))
    }

    fn others_are_active(&self, tenant: TenantId, now: u64) -> bool {
        self.latest.iter().any(|word| Work(word.load(Relaxed)).is_of_other(tenant, now))
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Work {
    const fn new(tenant: TenantId, now: u64) -> Self {
        Self(now << u16::BITS | tenant.number() as u64)
    }

    /// Number of the tenant; 0 for none.
    const fn number(self) -> u16 {
        self.0 as u16
    }

    const fn at(self) -> u64 {
        self.0 >> u16::BITS
    }

    fn is_of_other(self, tenant: TenantId, now: u64) -> bool {
        let is_other = self.number() != 0 && self.number() != tenant.number();
        is_other && self.at() + ACTIVE_MS >= now
    }
}

impl ConnectionTenant {
    /// That of a connection whose tenant is known.
    pub(crate) fn of(tenant: TenantId) -> Self {
        Self(Arc::new(tenant.number().into()))
    }

    /// Tells whose request came.
    pub(crate) fn tell(&self, tenant: TenantId) {
        self.0.store(tenant.number(), Relaxed);
    }

    fn get(&self) -> Option<TenantId> {
        usize::from(self.0.load(Relaxed)).checked_sub(1).and_then(TenantId::at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(place: usize) -> TenantId {
        TenantId::at(place).unwrap()
    }

    #[test]
    fn a_tenant_has_all_threads_alone_and_half_of_them_beside_another() {
        let scheduler = TenantScheduler::of_threads(3, 8);
        let begins = |place, now| scheduler.begin(tenant(place), &mut None, Waker::noop(), now);
        assert_eq!((0..20).filter(|_| begins(0, 1_000)).count(), 8);
        assert_eq!((0..20).filter(|_| begins(1, 1_000)).count(), 4);
        for _ in 0..8 {
            scheduler.end(tenant(0), 1_000);
        }
        assert_eq!((0..20).filter(|_| begins(0, 1_050)).count(), 4);
        assert_eq!((0..20).filter(|_| begins(0, 1_101)).count(), 4, "the other one is quiet");
        assert!(TenantScheduler::new(1).is_none() && TenantScheduler::new(2).is_some());
        assert!(TenantScheduler::of_threads(2, 1).begin(tenant(1), &mut None, Waker::noop(), 0));
    }

    #[test]
    fn of_many_tenants_each_knows_that_it_is_not_alone() {
        let scheduler = TenantScheduler::of_threads(9, 8);
        assert!(!scheduler.note(tenant(4), 500));
        for now in 501..600 {
            for place in 0..9 {
                assert!(scheduler.note(tenant(place), now), "{place} at {now}");
                assert!(scheduler.others_are_active(tenant(place), now));
            }
        }
        assert!(!scheduler.others_are_active(tenant(3), 700));
    }

    #[test]
    fn a_connection_is_of_the_tenant_whose_request_came_last() {
        let whose = ConnectionTenant::default();
        assert_eq!(whose.get(), None);
        for place in [0, 1023] {
            whose.tell(tenant(place));
            assert_eq!(whose.get(), Some(tenant(place)));
        }
        assert_eq!(ConnectionTenant::of(tenant(7)).get(), Some(tenant(7)));
    }
}
