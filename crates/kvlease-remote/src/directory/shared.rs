//! Index, shared by the tier's calls and the task that publishes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvlease_tier::TierError;
use tokio::sync::{Notify, watch};

use super::index::{Index, Ticket};

/// How far the task has come.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Progress {
    /// Everything up to here is in the store.
    pub(super) published: Ticket,
    /// Number of publications that have failed.
    pub(super) failures: u64,
    /// Words of the store when a reading or a publication failed last.
    pub(super) reason: Arc<str>,
    /// The tier is being closed: the task publishes what is left, and ends.
    pub(super) is_closing: bool,
    /// The task has ended.
    pub(super) is_over: bool,
}

/// Index, shared by the tier's calls and the task that publishes.
#[derive(Debug)]
pub(super) struct Shared {
    index: Mutex<Index>,
    /// Wakes the task.
    pub(super) wake: Notify,
    pub(super) progress: watch::Sender<Progress>,
}

/// The directory could not be written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the object was stored, and its name could not be published in the directory: {0}")]
struct NotPublished(Arc<str>);

impl Shared {
    /// The index of a node that has read nothing yet.
    pub(super) fn new(node: String) -> Self {
        let (progress, _) = watch::channel(Progress::default());
        Self { index: Mutex::new(Index::new(node)), wake: Notify::new(), progress }
    }

    /// The index.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything up to the ticket is in the store.
    pub(super) async fn published(&self, ticket: Ticket) -> Result<(), TierError> {
        let mut progress = self.progress.subscribe();
        // The first failure may be of a publication that was under way before this call.
        let enough = progress.borrow().failures + 2;
        let is_decided =
            |now: &Progress| now.published >= ticket || now.failures >= enough || now.is_over;
        let now = progress.wait_for(is_decided).await.map(|now| now.clone());
        match now {
            Ok(now) if now.published >= ticket => Ok(()),
            Ok(now) => Err(TierError::Unavailable(Box::new(NotPublished(now.reason)))),
            Err(_) => Err(TierError::Closed),
        }
    }
}
