//! Leases that are to be renewed, and the task that does.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_testing::model::{block_on, check, step};
use loom::thread;
use tokio::sync::Notify;

use super::{
    connection_state::ConnectionState,
    renewals::{Renew, Renewals},
    sync::{Handle, Mutex},
};

/// A batch of leases that tells when it was renewed.
#[derive(Debug)]
struct Batch {
    listed: AtomicBool,
    runtime: Handle,
    due: Mutex<Option<Instant>>,
    renewed: Notify,
    /// How many tasks of the connection renew something at this moment.
    renewing: Arc<AtomicUsize>,
}

impl Batch {
    fn new(runtime: Handle, renewing: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            listed: AtomicBool::new(false),
            runtime,
            due: Mutex::new(None),
            renewed: Notify::new(),
            renewing: Arc::clone(renewing),
        })
    }

    /// A lease of it is to be renewed.
    fn keep(self: &Arc<Self>, renewals: &Arc<Renewals>, due: Instant) {
        {
            let mut first = self.due.lock().expect("the checker poisons nothing");
            *first = Some(first.map_or(due, |first| first.min(due)));
        }
        renewals.add(self, due, Duration::MAX);
    }

    /// Its leases have ended.
    fn end(&self) {
        *self.due.lock().expect("the checker poisons nothing") = None;
    }

    async fn renewed(&self) {
        self.renewed.notified().await;
    }
}

impl Renew for Batch {
    fn listed(&self) -> &AtomicBool {
        &self.listed
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn due(&self) -> Option<Instant> {
        *self.due.lock().expect("the checker poisons nothing")
    }

    fn renew(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            assert_eq!(self.renewing.fetch_add(1, Ordering::Relaxed), 0, "two tasks");
            step();
            self.end();
            self.renewing.fetch_sub(1, Ordering::Relaxed);
            self.renewed.notify_one();
        })
    }
}

/// Never, as far as a model is concerned.
fn late() -> Instant {
    Instant::now() + Duration::from_secs(1 << 30)
}

fn overdue() -> Instant {
    Instant::now() - Duration::from_secs(1)
}

#[test]
fn what_is_to_be_renewed_wakes_a_task_that_would_sleep_longer() {
    check(|| {
        let (renewals, renewing) = (ConnectionState::new().renewals, Arc::default());
        let [last, sooner, later] = batches(Handle::Alive, &renewing);
        later.keep(&renewals, late());
        let other = {
            let (sooner, renewals) = (Arc::clone(&sooner), Arc::clone(&renewals));
            thread::spawn(move || sooner.keep(&renewals, overdue()))
        };
        block_on(sooner.renewed());
        other.join().unwrap();
        later.end();
        // Has the task look again.
        last.keep(&renewals, overdue());
        block_on(last.renewed());
    });
}

#[test]
fn a_lease_wakes_the_task_though_another_one_of_its_batch_is_listed() {
    check(|| {
        let (renewals, renewing) = (ConnectionState::new().renewals, Arc::default());
        let [batch] = batches(Handle::Alive, &renewing);
        batch.keep(&renewals, late());
        batch.keep(&renewals, overdue());
        block_on(batch.renewed());
    });
}

#[test]
fn what_is_kept_while_the_task_ends_is_renewed_by_it_or_by_the_next_and_by_one_at_a_time() {
    check(|| {
        let (renewals, renewing) = (ConnectionState::new().renewals, Arc::default());
        let [first, second] = batches(Handle::Alive, &renewing);
        let other = {
            let (first, renewals) = (Arc::clone(&first), Arc::clone(&renewals));
            thread::spawn(move || {
                for _ in 0..2 {
                    first.keep(&renewals, overdue());
                    block_on(first.renewed());
                }
            })
        };
        second.keep(&renewals, overdue());
        block_on(second.renewed());
        other.join().unwrap();
    });
}

#[test]
fn a_task_that_ends_with_its_runtime_is_replaced() {
    check(|| {
        let (renewals, renewing) = (ConnectionState::new().renewals, Arc::default());
        let [orphan] = batches(Handle::Ended, &renewing);
        let [batch] = batches(Handle::Alive, &renewing);
        let other = {
            let (orphan, renewals) = (Arc::clone(&orphan), Arc::clone(&renewals));
            thread::spawn(move || orphan.keep(&renewals, overdue()))
        };
        batch.keep(&renewals, overdue());
        other.join().unwrap();
        // The next one does, if the other came first.
        batch.keep(&renewals, overdue());
        block_on(orphan.renewed());
        block_on(batch.renewed());
    });
}

fn batches<const COUNT: usize>(
    runtime: Handle,
    renewing: &Arc<AtomicUsize>,
) -> [Arc<Batch>; COUNT] {
    std::array::from_fn(|_| Batch::new(runtime, renewing))
}
