//! Memory that connections may hold: one budget in fixed shares, taken before it is used.
//!
//! Places for connections, with what an idle one holds, are a share as well, see
//! [`PlaceCounts`](crate::sizing::PlaceCounts). Shares are separate, so that one kind of load never takes the
//! memory of another, and a holder of one share never waits for the same share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use kvlease_types::ByteSize;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{metrics::MemoryMetrics, sizing::PARTS};

/// Use of memory by a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Large read buffers of uploads over HTTP.
    Uploads,
    /// Replies over HTTP: pages, and pieces of objects.
    Replies,
    /// Replies to operators and supervisors.
    Admin,
    /// Long frames of the fast lane.
    Frames,
    /// Long answers of the fast lane.
    Answers,
    /// Acquires of the fast lane that wait for a writer.
    Waits,
}

/// Parts of the budget for each purpose, in the order of the enum. The rest is for places.
const SHARES: [u64; 6] = [4, 2, 2, 2, 5, 1];

/// The memory of all connections beside their places.
#[derive(Debug)]
pub(crate) struct ConnectionMemory {
    shares: [Share; SHARES.len()],
    metrics: MemoryMetrics,
    /// The most that was taken since [`ConnectionMemory::take_peak`].
    peak: AtomicI64,
}

#[derive(Debug)]
struct Share {
    free: Arc<Semaphore>,
    bytes: usize,
}

impl ConnectionMemory {
    /// Shares of a budget of this size.
    pub(crate) fn new(budget: ByteSize, metrics: MemoryMetrics) -> Self {
        let share = |parts: u64| {
            let bytes = usize::try_from(budget.bytes() / PARTS * parts).unwrap_or(usize::MAX);
            let bytes = bytes.min(Semaphore::MAX_PERMITS);
            Share { free: Arc::new(Semaphore::new(bytes)), bytes }
        };
        Self { shares: SHARES.map(share), metrics, peak: AtomicI64::new(0) }
    }

    /// Bytes of the share.
    pub(crate) fn share(&self, purpose: Purpose) -> usize {
        self.shares[purpose as usize].bytes
    }

    /// Takes memory if it is free now.
    pub(crate) fn try_take(&self, purpose: Purpose, len: usize) -> Option<Held> {
        let share = &self.shares[purpose as usize];
        let taken = Arc::clone(&share.free).try_acquire_many_owned(share.permits(len));
        taken.ok().map(|permit| self.hold(permit))
    }

    /// Takes memory once it is free. `None` if it is not within `limit`.
    pub(crate) async fn take(&self, purpose: Purpose, len: usize, limit: Duration) -> Option<Held> {
        if let Some(held) = self.try_take(purpose, len) {
            return Some(held);
        }
        let share = &self.shares[purpose as usize];
        let taken = Arc::clone(&share.free).acquire_many_owned(share.permits(len));
        match timeout(limit, taken).await {
            Ok(permit) => Some(self.hold(permit.expect("the semaphore is never closed"))),
            Err(_) => {
                self.refused();
                None
            }
        }
    }

    fn hold(&self, permit: OwnedSemaphorePermit) -> Held {
        let held = Held::new(permit, &self.metrics.taken);
        self.peak.fetch_max(self.metrics.taken.get(), Relaxed);
        held
    }

    /// The most bytes that were taken at a time since this was asked last.
    pub(crate) fn take_peak(&self) -> u64 {
        u64::try_from(self.peak.swap(self.metrics.taken.get(), Relaxed)).unwrap_or(0)
    }

    /// Whether less than half of the share is free, so that what is not in use should be given back.
    pub(crate) fn is_scarce(&self, purpose: Purpose) -> bool {
        let share = &self.shares[purpose as usize];
        share.free.available_permits() < share.bytes / 2
    }

    /// Counts that something had to do without memory.
    pub(crate) fn refused(&self) {
        self.metrics.short.inc();
    }
}

impl Share {
    /// Permits for `len` bytes, at most for the whole share, which is all that can be had.
    fn permits(&self, len: usize) -> u32 {
        u32::try_from(len.min(self.bytes)).unwrap_or(u32::MAX)
    }
}

/// Memory that was taken. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    permit: OwnedSemaphorePermit,
    taken: Gauge,
}

impl Held {
    fn new(permit: OwnedSemaphorePermit, taken: &Gauge) -> Self {
        taken.inc_by(len_of(&permit));
        Self { permit, taken: taken.clone() }
    }

    /// How much it is.
    pub(crate) fn len(&self) -> usize {
        self.permit.num_permits()
    }

    /// Adds memory of the same purpose.
    pub(crate) fn merge(&mut self, mut more: Self) {
        if let Some(permit) = more.permit.split(more.permit.num_permits()) {
            self.permit.merge(permit);
        }
    }

    /// Gives back what is beyond `len` bytes.
    pub(crate) fn shrink(&mut self, len: usize) {
        let surplus = self.permit.num_permits().saturating_sub(len);
        if let Some(surplus) = self.permit.split(surplus) {
            self.taken.dec_by(len_of(&surplus));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.taken.dec_by(len_of(&self.permit));
    }
}

fn len_of(permit: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(permit.num_permits()).expect("a permit is of less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::PLACES_PARTS;

    fn memory() -> (ConnectionMemory, Gauge) {
        let metrics = MemoryMetrics::default();
        let taken = metrics.taken.clone();
        (ConnectionMemory::new(ByteSize::mib(32), metrics), taken)
    }

    #[test]
    fn the_shares_and_the_places_are_the_budget() {
        let shares: u64 = SHARES.iter().sum();
        assert_eq!(shares + PLACES_PARTS.0 + PLACES_PARTS.1, PARTS);
        let (memory, _) = memory();
        assert_eq!(memory.share(Purpose::Answers), 5 << 20);
    }

    #[test]
    fn memory_is_taken_once_and_comes_back_with_its_holder() {
        let (memory, taken) = memory();
        let first = memory.try_take(Purpose::Frames, 1 << 20).unwrap();
        let mut second = memory.try_take(Purpose::Frames, 1 << 20).unwrap();
        assert!(memory.try_take(Purpose::Frames, 1).is_none(), "the share is taken");
        assert!(memory.try_take(Purpose::Waits, 1 << 20).is_some(), "another share is not");
        assert_eq!(taken.get(), 2 << 20);
        drop(first);
        second.shrink(100);
        assert_eq!(taken.get(), 100);
        assert_eq!((memory.take_peak(), memory.take_peak()), (3 << 20, 100));
        assert!(memory.try_take(Purpose::Frames, (2 << 20) - 100).is_some());
        drop(second);
        assert_eq!(taken.get(), 0);
    }

    #[test]
    fn more_than_a_share_is_the_whole_share() {
        let (memory, taken) = memory();
        let all = memory.try_take(Purpose::Waits, usize::MAX).unwrap();
        assert_eq!(taken.get(), 1 << 20);
        drop(all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_memory_ends_with_it_or_with_its_limit() {
        let (memory, _) = memory();
        let limit = Duration::from_millis(50);
        let held = memory.take(Purpose::Admin, 2 << 20, limit).await.unwrap();
        assert!(memory.take(Purpose::Admin, 1, limit).await.is_none());
        assert_eq!(memory.metrics.short.get(), 1);
        let later = async {
            tokio::time::sleep(limit / 2).await;
            drop(held);
        };
        let (taken, ()) = tokio::join!(memory.take(Purpose::Admin, 1, limit), later);
        assert!(taken.is_some());
    }
}
