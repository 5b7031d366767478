//! Core of a client: what its calls, its leases and its streams share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use kvlease_attach::Attachment;
use kvlease_sys::Identity;
use kvlease_types::Epoch;
use tokio::sync::Semaphore;

use crate::{
    Announcement, ClientConfig, breaker::Breaker, counters::Counting, credentials::Credentials,
    pool::Pool, request::Template,
};

/// Most dropped leases of one client that are released at a time. The leases of a burst beyond
/// that end by their time to live.
const BACKGROUND_RELEASES_MAX: usize = 1024;

/// State of one client, behind all its clones.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: ClientConfig,
    pub(crate) template: Template,
    pub(crate) credentials: Option<Credentials>,
    /// Shared with the connections in use, which return to it.
    pub(crate) pool: Arc<Pool>,
    pub(crate) breaker: Breaker,
    pub(crate) counting: Arc<Counting>,
    speaks_extensions: AtomicBool,
    /// The segment as it was attached last. Never locked across an await.
    pub(crate) attachment: Mutex<Option<Arc<Attachment>>>,
    /// The daemon's last announcement. Never locked across an await.
    announcement: Mutex<Announcement>,
    /// Permits for releases of dropped leases.
    pub(crate) background: Arc<Semaphore>,
}

impl Core {
    /// Core of a client that has not connected yet.
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            template: Template::new(&config.address, &config.bucket),
            credentials: config.token.clone().map(Credentials::new),
            pool: Arc::new(Pool::new(&config)),
            config,
            breaker: Breaker::default(),
            counting: Arc::default(),
            speaks_extensions: AtomicBool::new(false),
            attachment: Mutex::default(),
            announcement: Mutex::default(),
            background: Arc::new(Semaphore::new(BACKGROUND_RELEASES_MAX)),
        }
    }

    /// Whether an answer has shown that the daemon is kvlease.
    pub(crate) fn speaks_extensions(&self) -> bool {
        self.speaks_extensions.load(Ordering::Relaxed)
    }

    /// Remembers that the daemon is kvlease.
    pub(crate) fn note_extensions(&self) {
        // A load alone leaves the cache line shared.
        if !self.speaks_extensions() {
            self.speaks_extensions.store(true, Ordering::Relaxed);
        }
    }

    /// The daemon's last announcement.
    pub(crate) fn announcement(&self) -> Announcement {
        self.lock_announcement().clone()
    }

    /// The epoch of the daemon's last announcement.
    pub(crate) fn announced_epoch(&self) -> Option<Epoch> {
        self.lock_announcement().epoch
    }

    /// The segment of the daemon's last announcement.
    pub(crate) fn announced_segment(&self) -> Option<Identity> {
        self.lock_announcement().segment
    }

    /// Remembers an announcement in the place of the one before.
    pub(crate) fn note_announcement(&self, announcement: &Announcement) {
        let mut announced = self.lock_announcement();
        if *announced != *announcement {
            announced.clone_from(announcement);
        }
    }

    fn lock_announcement(&self) -> MutexGuard<'_, Announcement> {
        // The section replaces one value: a panic cannot leave it half changed.
        self.announcement.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
