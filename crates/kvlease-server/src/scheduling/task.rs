//! Task of a connection that takes turns.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{connection_tenant::ConnectionTenant, scheduler::TenantScheduler, turn::Turn};

/// The task of a connection, which is polled in its tenant's turns.
pub(crate) struct ScheduledTask<F> {
    serving: Pin<Box<F>>,
    turn: Arc<Turn>,
    /// Wakes `serving`: the turn.
    waker: Waker,
}

impl<F> ScheduledTask<F> {
    pub(crate) fn new(
        serving: F,
        scheduler: Arc<TenantScheduler>,
        tenant: ConnectionTenant,
    ) -> Self {
        let turn = Turn::new(scheduler, tenant);
        Self { serving: Box::pin(serving), waker: Arc::clone(&turn).into(), turn }
    }
}

impl<F: Future> Future for ScheduledTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if !this.turn.begin(context.waker()) {
            return Poll::Pending;
        }
        let polled = this.serving.as_mut().poll(&mut Context::from_waker(&this.waker));
        if polled.is_pending() {
            this.turn.end();
        } else {
            this.turn.give_up();
        }
        polled
    }
}

impl<F> Drop for ScheduledTask<F> {
    fn drop(&mut self) {
        self.turn.give_up();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use kvlease_types::TenantId;
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
        let never = || {
            let pending = std::future::pending::<()>();
            ScheduledTask::new(pending, Arc::clone(&turns), ConnectionTenant::of(tenant(0)))
        };
        let mut context = Context::from_waker(Waker::noop());
        let [mut granted, mut polled, mut next] = [never(), never(), never()];
        for task in [&mut granted, &mut polled, &mut next] {
            assert!(Pin::new(task).poll(&mut context).is_pending());
        }
        // The first two are gone while they have a turn: before their poll, and in it.
        assert!(!polled.turn.begin(Waker::noop()));
        drop(granted);
        assert!(polled.turn.begin(Waker::noop()));
        assert!(!next.turn.begin(Waker::noop()));
        drop(polled);
        assert!(next.turn.begin(Waker::noop()), "it has its turn");
    }
}
