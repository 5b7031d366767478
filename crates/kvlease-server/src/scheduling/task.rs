//! Task of a connection that takes turns.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use kvlease_types::TenantId;

use super::{ConnectionTenant, TenantScheduler};

/// The task of a connection, which is polled in its tenant's turns.
pub(crate) struct ScheduledTask<F> {
    serving: Pin<Box<F>>,
    scheduler: Arc<TenantScheduler>,
    tenant: ConnectionTenant,
    /// Place in the queue of a tenant.
    waits: Option<(TenantId, u64)>,
}

impl<F> ScheduledTask<F> {
    pub(crate) fn new(
        serving: F,
        scheduler: Arc<TenantScheduler>,
        tenant: ConnectionTenant,
    ) -> Self {
        Self { serving: Box::pin(serving), scheduler, tenant, waits: None }
    }

    /// Begins a turn; `false` if the connection has to wait for one.
    fn begin(&mut self, tenant: TenantId, context: &Context<'_>) -> bool {
        if self.waits.is_some_and(|(queue, _)| queue != tenant) {
            self.give_up();
        }
        let mut place = self.waits.take().map(|(_, place)| place);
        let begins =
            self.scheduler.begin(tenant, &mut place, context.waker(), self.scheduler.now());
        self.waits = place.map(|place| (tenant, place));
        begins
    }

    fn give_up(&mut self) {
        if let Some((tenant, place)) = self.waits.take() {
            self.scheduler.give_up(tenant, place, self.scheduler.now());
        }
    }
}

impl<F: Future> Future for ScheduledTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Before its first request a connection is no tenant's.
        let Some(tenant) = self.tenant.get() else { return self.serving.as_mut().poll(context) };
        if !self.begin(tenant, context) {
            return Poll::Pending;
        }
        let polled = self.serving.as_mut().poll(context);
        self.scheduler.end(tenant, self.scheduler.now());
        polled
    }
}

impl<F> Drop for ScheduledTask<F> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio::{runtime::Builder, task::yield_now};

    use super::*;

    fn tenant(place: usize) -> TenantId {
        TenantId::at(place).unwrap()
    }

    /// Most tasks of a tenant at work at a time, of this many that go on for a while.
    async fn most_at_work(turns: &Arc<TenantScheduler>, place: usize, tasks: usize) -> usize {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                for _ in 0..200 {
                    most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                    std::thread::yield_now();
                    now.fetch_sub(1, Relaxed);
                    yield_now().await;
                }
            }
        };
        let spawn = |_| {
            let whose = ConnectionTenant::of(tenant(place));
            tokio::spawn(ScheduledTask::new(work(), Arc::clone(turns), whose))
        };
        for task in (0..tasks).map(spawn).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        most.load(Relaxed)
    }

    #[test]
    fn all_tasks_end_and_no_more_than_may_are_at_work() {
        let threads = 4;
        let runtime = Builder::new_multi_thread().worker_threads(threads).build().unwrap();
        runtime.block_on(async {
            let turns = Arc::new(TenantScheduler::of_threads(2, threads));
            assert!(most_at_work(&turns, 0, 50).await <= threads);
            let (one, other) =
                tokio::join!(most_at_work(&turns, 0, 50), most_at_work(&turns, 1, 50));
            assert!(one <= threads && other <= threads, "{one} {other}");
        });
    }

    #[test]
    fn a_task_that_is_dropped_passes_its_turn_on() {
        let turns = Arc::new(TenantScheduler::of_threads(2, 1));
        let whose = ConnectionTenant::of(tenant(0));
        let never =
            || ScheduledTask::new(std::future::pending::<()>(), Arc::clone(&turns), whose.clone());
        assert!(turns.begin(tenant(0), &mut None, std::task::Waker::noop(), turns.now()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut waiting = [never(), never()];
        for task in &mut waiting {
            assert!(Pin::new(&mut *task).poll(&mut context).is_pending() && task.waits.is_some());
        }
        // The first one is woken by the end of the turn, and is gone before its next try.
        turns.end(tenant(0), turns.now());
        let [first, mut second] = waiting;
        drop(first);
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        assert!(second.waits.is_none(), "it has had its turn");
    }
}
