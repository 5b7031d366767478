//! Stands in for the leases of one answer: what is renewed once needs it no more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{renewals::Renewals, sync::Mutex};
use kvlease_testing::model::{Handle, step};

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) listed: AtomicBool,
    pub(super) runtime: Handle,
    due: Mutex<Option<Instant>>,
    renewed: Notify,
    /// How many tasks of the connection renew something at this moment.
    renewing: Arc<AtomicUsize>,
}

impl Batch {
    pub(super) fn new(runtime: Handle, renewing: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            listed: AtomicBool::new(false),
            runtime,
            due: Mutex::new(None),
            renewed: Notify::new(),
            renewing: Arc::clone(renewing),
        })
    }

    /// A lease of it is to be renewed.
    pub(super) fn keep(self: &Arc<Self>, renewals: &Arc<Renewals>, due: Instant) {
        {
            let mut first = self.due.lock().expect("the checker poisons nothing");
            *first = Some(first.map_or(due, |first| first.min(due)));
        }
        renewals.add(self, due, Duration::MAX);
    }

    /// Its leases have ended.
    pub(super) fn end(&self) {
        *self.due.lock().expect("the checker poisons nothing") = None;
    }

    pub(super) async fn renewed(&self) {
        self.renewed.notified().await;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        *self.due.lock().expect("the checker poisons nothing")
    }

    pub(super) async fn renew_kept(&self, _: Duration) {
        assert_eq!(self.renewing.fetch_add(1, Ordering::Relaxed), 0, "two tasks");
        step();
        self.end();
        self.renewing.fetch_sub(1, Ordering::Relaxed);
        self.renewed.notify_one();
    }
}
