//! The leases that one answer granted.

use std::{
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, DoneStatus, IdsWriter, LeaseGrant, LeaseRecord, LeaseStatus};
use kvlease_sys::OfProcess;
use kvlease_types::Extent;
use tokio::runtime::Handle;

use super::{
    connection_state::ConnectionState,
    error::{Fault, LaneError},
    lane_core::LaneCore,
    renewals::Renew,
};

/// Leases of one answer, each in its slot, with the state that they share. It lives as long as any
/// of its leases; a guard is no more than a slot's number.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) core: Arc<LaneCore>,
    /// The connection that the leases belong to.
    connection: Arc<ConnectionState>,
    /// The runtime for work in the background.
    pub(super) runtime: Handle,
    process: OfProcess<()>,
    /// When the request left.
    asked: Instant,
    /// The time to live that was requested.
    requested: Duration,
    /// Nanoseconds of the time to live that was granted last.
    ttl: AtomicU64,
    slots: Vec<Slot>,
    /// The extents of all leases, one after the other.
    extents: Vec<Extent>,
    /// Whether the renewals of the connection have it in their list.
    listed: AtomicBool,
}

/// One of the leases.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) grant: LeaseGrant,
    /// Which of the batch's extents are its own.
    extents: Range<u32>,
    /// Nanoseconds from when the request left to the deadline.
    life: AtomicU64,
    /// Whether it is to be renewed.
    kept: AtomicBool,
}

impl Batch {
    /// Takes the leases out of an answer, in which `statuses` then tells what became of each key.
    pub(super) fn new<'a>(
        (core, connection): (&Arc<LaneCore>, &Arc<ConnectionState>),
        (asked, requested, ttl): (Instant, Duration, Duration),
        records: impl ExactSizeIterator<Item = LeaseRecord<'a>>,
        statuses: &mut Vec<LeaseStatus>,
    ) -> Arc<Self> {
        let ttl = nanos(ttl);
        let mut slots = Vec::with_capacity(records.len());
        let mut all = Vec::with_capacity(records.len());
        for record in records {
            statuses.push(match record {
                LeaseRecord::Refused(status) => status,
                LeaseRecord::Granted(grant, extents) => {
                    let start = all.len() as u32;
                    all.extend(extents.iter());
                    let (extents, life) = (start..all.len() as u32, AtomicU64::new(ttl));
                    slots.push(Slot { grant, extents, life, kept: AtomicBool::new(false) });
                    LeaseStatus::Granted
                }
            });
        }
        connection.begin_leases(slots.len());
        core.counts.leases.fetch_add(slots.len() as u64, Ordering::Relaxed);
        Arc::new(Self {
            core: Arc::clone(core),
            connection: Arc::clone(connection),
            runtime: Handle::current(),
            process: OfProcess::new(()),
            asked,
            requested,
            ttl: AtomicU64::new(ttl),
            slots,
            extents: all,
            listed: AtomicBool::new(false),
        })
    }

    pub(super) fn slot(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }

    pub(super) fn extents(&self, slot: u32) -> &[Extent] {
        let Range { start, end } = self.slot(slot).extents;
        &self.extents[start as usize..end as usize]
    }

    pub(super) fn deadline(&self, slot: u32) -> Instant {
        self.asked + Duration::from_nanos(self.slot(slot).life.load(Ordering::Relaxed))
    }

    /// The guard of a lease is gone. In a forked child that means nothing: the lease is the
    /// parent's.
    pub(super) fn end(&self, slot: u32) {
        if self.process.get().is_none() {
            return;
        }
        let slot = self.slot(slot);
        slot.kept.store(false, Ordering::Relaxed);
        self.core.counts.ended.fetch_add(1, Ordering::Relaxed);
        if self.connection.end_lease(slot.grant.sequence) {
            self.core.pool.flush(&self.connection);
        }
    }

    /// A lease is to be renewed from now on.
    pub(super) fn keep(self: &Arc<Self>, slot: u32, limit: Duration) {
        self.slot(slot).kept.store(true, Ordering::Relaxed);
        self.connection.renewals.add(self, self.half_time(self.deadline(slot)), limit);
    }

    /// When half of the time before a deadline is left.
    fn half_time(&self, deadline: Instant) -> Instant {
        let half = Duration::from_nanos(self.ttl.load(Ordering::Relaxed) / 2);
        deadline.checked_sub(half).unwrap_or(deadline)
    }

    async fn renew_kept(&self, limit: Duration) {
        let kept: Vec<u32> = self.kept().collect();
        if kept.is_empty() {
            return;
        }
        let live = self.renew_slots(&kept, self.requested, limit).await;
        let mut live = live.unwrap_or_default().into_iter();
        for slot in kept {
            if !live.next().unwrap_or(false) {
                self.slot(slot).kept.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Extends leases so that they last `ttl` from now, or as much as the daemon grants. Returns which
    /// of them live.
    pub(super) async fn renew_slots(
        &self,
        slots: &[u32],
        ttl: Duration,
        limit: Duration,
    ) -> Result<Vec<bool>, LaneError> {
        let asked = Instant::now();
        let write = |out: &mut Vec<u8>, request| {
            let mut frame = IdsWriter::renew(out, request, Some(ttl));
            for slot in slots {
                let sequence = self.slot(*slot).grant.sequence;
                frame.push(sequence).expect("a batch has no more leases than a frame has room for");
            }
            frame.finish();
        };
        let renewed = self.core.call(Some(&self.connection), limit, async |connection| {
            let read = |answer: Answer<'_>, _: &_| match answer {
                Answer::Renewed { ttl, statuses } => {
                    Ok((ttl, statuses.map(|status| status == DoneStatus::Done).collect()))
                }
                _ => Err(Fault::Protocol("no answer to a renewal".to_owned())),
            };
            connection.exchange(write, read).await
        });
        let (ttl, live): (_, Vec<bool>) = renewed.await?;
        let life = asked.saturating_duration_since(self.asked).saturating_add(ttl);
        for (slot, _) in slots.iter().zip(&live).filter(|(_, live)| **live) {
            self.slot(*slot).life.store(nanos(life), Ordering::Relaxed);
        }
        self.ttl.store(nanos(ttl), Ordering::Relaxed);
        Ok(live)
    }

    /// The slots whose leases are to be renewed.
    fn kept(&self) -> impl Iterator<Item = u32> {
        let kept = |(_, slot): &(u32, &Slot)| slot.kept.load(Ordering::Relaxed);
        (0..).zip(&self.slots).filter(kept).map(|(number, _)| number)
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
        let first = self.kept().map(|slot| self.deadline(slot)).min()?;
        Some(self.half_time(first))
    }

    fn renew(&self, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.renew_kept(limit))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
