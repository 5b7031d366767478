//! Admission for connections of HTTP: ordinary ones, and a few that operators and supervisors reach
//! when all others are taken.
//!
//! A connection with TLS takes several ordinary places, since it holds more memory.
//!
//! A connection that finds no place takes the one of the connection that has been idle for longest: one
//! that has not sent a whole head yet, or, if there is none, one between two requests. If none is idle
//! it gets a reserved place, where requests of operators are answered and all others wait for an ordinary
//! place.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hashbrown::HashMap;
use kvlease_types::Caller;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::metrics::Metrics;

/// Places that are reserved for operators and supervisors.
const RESERVED: usize = 16;

/// How long a connection has to be idle between two requests before another one takes its place, so
/// that clients at work keep theirs.
const IDLE_MIN: Duration = Duration::from_secs(1);

/// The same for a connection that has not sent a whole head yet, and for one on a reserved place. A
/// client sends a head at once: half heads that are renewed every second must not keep others out.
const HEADLESS_MIN: Duration = Duration::from_millis(50);

/// How long a request on a reserved place waits for an ordinary one.
const ORDINARY_WAIT: Duration = Duration::from_secs(1);

/// Requests that wait for an ordinary place on reserved ones at the same time; the rest of these
/// places is for operators.
const WAITING_MAX: usize = RESERVED / 2;

/// Time of a connection that is not idle.
const BUSY: u64 = u64::MAX;

/// All places.
pub(crate) struct Admission {
    ordinary: OrdinaryLimit,
    reserved: Arc<Semaphore>,
    open: Mutex<Open>,
    started: Instant,
    metrics: Arc<Metrics>,
}

/// Limit of the connections for all requests.
struct OrdinaryLimit {
    count: usize,
    permits: Arc<Semaphore>,
    /// Requests that may still begin to wait on reserved places.
    waiting: Semaphore,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    last: u64,
}

/// An open connection, as the search for the oldest idle one sees it.
struct Connection {
    is_reserved: bool,
    /// Since when it is idle, in nanoseconds since the start; [`BUSY`] if it is not.
    idle_since: AtomicU64,
    /// Whether a whole head has come.
    has_asked: AtomicBool,
    /// The task that serves it, which ends when another connection needs the place, and its client.
    task: OnceLock<(AbortHandle, Caller)>,
}

/// Place of one connection. It is free again when this is dropped.
pub(super) struct Place {
    admission: Arc<Admission>,
    number: u64,
    /// Ordinary places that the connection takes.
    size: u32,
    connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

/// A request under way, until its reply was taken. The connection is idle again when this is
/// dropped.
pub(super) struct Busy {
    place: Arc<Place>,
    /// An ordinary place, for a request on a reserved one that is not an operator's.
    ordinary: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(crate) fn new(ordinary: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        let ordinary = ordinary.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            ordinary: OrdinaryLimit::new(ordinary),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            open: Mutex::default(),
            started: Instant::now(),
            metrics: Arc::clone(metrics),
        })
    }

    /// A place for a connection that was accepted, once there is one. It is as large as `size` ordinary
    /// ones, or as all of them.
    pub(super) async fn take(self: &Arc<Self>, size: u32) -> Place {
        let size = self.ordinary.size(size);
        if let Ok(permit) = Arc::clone(&self.ordinary.permits).try_acquire_many_owned(size) {
            return self.occupy(permit, size, false);
        }
        self.metrics.connections_full();
        // A request on a reserved place may wait for the same place, and comes first.
        if self.close_oldest(false)
            && let Ok(permit) = timeout(HEADLESS_MIN, next(&self.ordinary.permits, size)).await
        {
            return self.occupy(permit, size, false);
        }
        if let Ok(permit) = Arc::clone(&self.reserved).try_acquire_owned() {
            return self.occupy(permit, size, true);
        }
        loop {
            self.close_oldest(true);
            tokio::select! {
                permit = next(&self.ordinary.permits, size) => {
                    return self.occupy(permit, size, false);
                }
                permit = next(&self.reserved, 1) => return self.occupy(permit, size, true),
                // What was busy or young may be idle by now.
                () = sleep(HEADLESS_MIN) => {}
            }
        }
    }

    /// An ordinary place for a request on a reserved one, within a time.
    async fn wait_for_ordinary(&self, size: u32) -> Option<OwnedSemaphorePermit> {
        // What was busy or young may be idle by the next time.
        let closing = async {
            loop {
                self.close_oldest(false);
                sleep(HEADLESS_MIN).await;
            }
        };
        tokio::select! {
            permit = self.ordinary.wait(size) => permit,
            () = closing => None,
        }
    }

    fn occupy(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        size: u32,
        is_reserved: bool,
    ) -> Place {
        let idle_since = AtomicU64::new(self.now());
        let (has_asked, task) = (AtomicBool::new(false), OnceLock::new());
        let connection = Arc::new(Connection { is_reserved, idle_since, has_asked, task });
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.connections.insert(number, Arc::clone(&connection));
        Place { admission: Arc::clone(self), number, size, connection, _permit: permit }
    }

    /// Closes the connection of this kind that others give way to, if there is one. Returns whether
    /// there is.
    fn close_oldest(&self, is_reserved: bool) -> bool {
        let Some((oldest, since)) = self.oldest(is_reserved) else { return false };
        let Some((task, caller)) = oldest.task.get() else { return false };
        // A request that begins meanwhile keeps its connection.
        let closes = oldest.idle_since.compare_exchange(since, BUSY, Relaxed, Relaxed).is_ok();
        if closes {
            tracing::debug!(%caller, "closing an idle connection: its place is needed");
            task.abort();
        }
        closes
    }

    /// The connection of this kind that has been idle for longest, of those without a head first, and
    /// since when it is. One that has not been idle for long enough keeps its place.
    fn oldest(&self, is_reserved: bool) -> Option<(Arc<Connection>, u64)> {
        let now = self.now();
        let open = self.open();
        let served = open.connections.values().filter(|found| found.task.get().is_some());
        let of_kind = served.filter(|found| found.is_reserved == is_reserved);
        let idle = of_kind.filter_map(|found| Some((found, found.gives_way_since(now)?)));
        let first = idle.min_by_key(|(found, since)| (found.has_asked.load(Relaxed), *since))?;
        Some((Arc::clone(first.0), first.1))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(BUSY - 1)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Since when it is idle, if it has been for long enough to give its place away.
    fn gives_way_since(&self, now: u64) -> Option<u64> {
        let since = self.idle_since.load(Relaxed);
        let keeps_longer = !self.is_reserved && self.has_asked.load(Relaxed);
        let idle_min = if keeps_longer { IDLE_MIN } else { HEADLESS_MIN };
        let gives_way =
            since != BUSY && Duration::from_nanos(now.saturating_sub(since)) >= idle_min;
        gives_way.then_some(since)
    }
}

impl Place {
    /// Whether it was reserved for operators when the connection got it.
    pub(super) fn is_reserved(&self) -> bool {
        self.connection.is_reserved
    }

    /// Marks the begin of a request.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.connection.idle_since.store(BUSY, Relaxed);
        self.connection.has_asked.store(true, Relaxed);
        Busy { place: Arc::clone(self), ordinary: None }
    }

    /// Tells which task serves the connection: it ends when another one needs the place.
    pub(super) fn served_by(&self, task: AbortHandle, caller: Caller) {
        self.connection.task.set((task, caller)).expect("one task serves a connection");
    }
}

impl Busy {
    /// Whether there is a place for a request that is not an operator's; waits for one if need be.
    pub(super) async fn has_place(&mut self) -> bool {
        let admission = &self.place.admission;
        if self.place.is_reserved() && self.ordinary.is_none() {
            // Boxed, so that an answer that waits for nothing does not carry its size.
            self.ordinary = Box::pin(admission.wait_for_ordinary(self.place.size)).await;
        }
        !self.place.is_reserved() || self.ordinary.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.open().connections.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Place { connection, admission, .. } = &*self.place;
        connection.idle_since.store(admission.now(), Relaxed);
    }
}

impl OrdinaryLimit {
    fn new(count: usize) -> Self {
        let (permits, waiting) = (Arc::new(Semaphore::new(count)), Semaphore::new(WAITING_MAX));
        Self { count, permits, waiting }
    }

    /// As many places as these, or all.
    fn size(&self, size: u32) -> u32 {
        u32::try_from(self.count).map_or(size, |count| size.min(count))
    }

    /// A place for a request on a reserved one, within a time. Where enough requests wait already
    /// there is none: waiting ones keep operators from the reserved places.
    async fn wait(&self, size: u32) -> Option<OwnedSemaphorePermit> {
        let _waits = self.waiting.try_acquire().ok()?;
        timeout(ORDINARY_WAIT, next(&self.permits, size)).await.ok()
    }
}

async fn next(permits: &Arc<Semaphore>, size: u32) -> OwnedSemaphorePermit {
    let permit = Arc::clone(permits).acquire_many_owned(size).await;
    permit.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_reserved_places_are_never_waited_on() {
        let places = Arc::new(OrdinaryLimit::new(1));
        let taken = next(&places.permits, 1).await;
        let wait = || {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.wait(1).await.is_some() })
        };
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| wait()).collect();
        tokio::task::yield_now().await;
        let started = tokio::time::Instant::now();
        assert!(places.wait(1).await.is_none());
        assert_eq!(started.elapsed(), Duration::ZERO, "refused at once");
        drop(taken);
        for waiting in waiting {
            assert!(waiting.await.unwrap(), "each has the place for a moment");
        }
    }
}
