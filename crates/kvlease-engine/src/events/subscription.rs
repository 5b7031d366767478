//! Subscription: one reader of the events.

use std::sync::Arc;

use tokio::sync::watch;

use super::{event::Event, log::Missed, snapshot::Snapshot};
use crate::shared::Shared;

/// One reader of the events, at its own pace. It is counted out when it is dropped.
///
/// It begins with the events from its making on. [`resume`](Self::resume) goes on where an earlier one
/// ended, and [`snapshot`](Self::snapshot) begins with the objects that are there.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    news: watch::Receiver<()>,
    /// Number of the event to read next.
    next: u64,
}

/// Result of a wait for events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Events in the order of their numbers, at least one.
    Events(Vec<Event>),
    /// Events were missed: forget what is known, and take a [`Snapshot`].
    Lost,
    /// The daemon ends, and there are no more events.
    Closed,
}

impl Subscription {
    /// `None` if there are too many, or the daemon ends.
    pub(crate) fn new(shared: &Arc<Shared>) -> Option<Self> {
        let oldest = || shared.lock_readers().feed.oldest();
        if !shared.events.join(oldest) {
            return None;
        }
        let (shared, news) = (Arc::clone(shared), shared.events.news());
        let next = shared.lock_readers().feed.next();
        Some(Self { shared, news, next })
    }

    /// Number of the event to read next.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Goes on with the event of this number, or with the next one behind it. Returns false if events from
    /// there on were missed: then nothing changes.
    pub fn resume(&mut self, next: u64) -> bool {
        let is_known = next <= self.shared.lock_readers().feed.next();
        let has = is_known && self.shared.events.has(next);
        if has {
            self.next = next;
        } else {
            self.shared.counters.events_lost.increment();
        }
        has
    }

    /// Snapshot of what is there; the events go on behind it.
    pub fn snapshot(&mut self) -> Snapshot {
        let snapshot = self.objects();
        self.next = snapshot.next();
        snapshot
    }

    /// Snapshot of what is there, beside the events: those that were not read yet are read as before.
    pub fn objects(&self) -> Snapshot {
        let next = self.shared.lock_readers().feed.next();
        Snapshot::new(Arc::clone(&self.shared), next)
    }

    /// Waits for at most `max` events.
    pub async fn next(&mut self, max: usize) -> Delivery {
        loop {
            // Before the look, so that what comes behind it is waited for.
            self.news.mark_unchanged();
            match self.shared.events.read(self.next, max) {
                Err(Missed) => {
                    self.shared.counters.events_lost.increment();
                    return Delivery::Lost;
                }
                Ok(None) => return Delivery::Closed,
                Ok(Some((events, next))) => {
                    self.next = next;
                    if !events.is_empty() {
                        return Delivery::Events(events);
                    }
                }
            }
            if self.news.changed().await.is_err() {
                return Delivery::Closed;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.events.leave();
    }
}
