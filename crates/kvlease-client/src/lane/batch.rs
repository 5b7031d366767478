//! The leases that one answer granted.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, DoneStatus, IdsWriter, LeaseGrant, LeaseRecord, LeaseStatus};
use kvlease_sys::process_id;
use kvlease_types::Extent;
use tokio::runtime::Handle;

use super::{Lane, LaneError, error::Fault, link::Link, open::Shared};

/// What the leases of one answer share, and each of them in its slot. It lives as long as any of
/// its leases; a guard is no more than a slot's number.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Arc<Link>,
    /// Where what is done for the leases in the background is done.
    pub(super) runtime: Handle,
    pid: u32,
    /// When the request left.
    asked: Instant,
    /// The time to live that was wished for.
    wish: Duration,
    /// Nanoseconds of the time to live that was granted last.
    ttl: AtomicU64,
    slots: Vec<Slot>,
    /// The extents of all leases, one after the other.
    extents: Vec<Extent>,
    /// Whether the renewals of the connection have it in their list.
    pub(super) listed: AtomicBool,
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
        (shared, link): (&Arc<Shared>, &Arc<Link>),
        (asked, wish, ttl): (Instant, Duration, Duration),
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
        link.begin_leases(slots.len());
        shared.counts.leases.fetch_add(slots.len() as u64, Ordering::Relaxed);
        Arc::new(Self {
            shared: Arc::clone(shared),
            link: Arc::clone(link),
            runtime: Handle::current(),
            pid: process_id(),
            asked,
            wish,
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
        if self.pid != process_id() {
            return;
        }
        let slot = self.slot(slot);
        slot.kept.store(false, Ordering::Relaxed);
        self.shared.counts.ended.fetch_add(1, Ordering::Relaxed);
        if self.link.end_lease(slot.grant.sequence) {
            self.shared.turns.flush(&self.link);
        }
    }

    /// A lease is to be renewed from now on.
    pub(super) fn keep(self: &Arc<Self>, slot: u32, limit: Duration) {
        self.slot(slot).kept.store(true, Ordering::Relaxed);
        self.link.renewals.add(self, self.half_time(self.deadline(slot)), limit);
    }

    /// When the leases that are to be renewed have half of their time left; `None` if there are
    /// none.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = self.kept().map(|slot| self.deadline(slot)).min()?;
        Some(self.half_time(first))
    }

    /// When half of the time before a deadline is left.
    fn half_time(&self, deadline: Instant) -> Instant {
        let half = Duration::from_nanos(self.ttl.load(Ordering::Relaxed) / 2);
        deadline.checked_sub(half).unwrap_or(deadline)
    }

    /// Renews the leases that are to be renewed. Those that have ended are not any more.
    pub(super) async fn renew_kept(&self, limit: Duration) {
        let kept: Vec<u32> = self.kept().collect();
        if kept.is_empty() {
            return;
        }
        let live = self.renew(&kept, self.wish, limit).await;
        let mut live = live.unwrap_or_default().into_iter();
        for slot in kept {
            if !live.next().unwrap_or(false) {
                self.slot(slot).kept.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Extends leases so that they last `ttl` from now, or as much as the daemon grants. Tells which
    /// of them live.
    pub(super) async fn renew(
        &self,
        slots: &[u32],
        ttl: Duration,
        limit: Duration,
    ) -> Result<Vec<bool>, LaneError> {
        let lane = Lane { shared: Arc::clone(&self.shared) };
        let asked = Instant::now();
        let write = |out: &mut Vec<u8>, request| {
            let mut frame = IdsWriter::renew(out, request, Some(ttl));
            for slot in slots {
                let sequence = self.slot(*slot).grant.sequence;
                frame.push(sequence).expect("a batch has no more leases than a frame has room for");
            }
            frame.finish();
        };
        let renewed = lane.call_on(&self.link, limit, async |busy| {
            let read = |answer: Answer<'_>, _: &_| match answer {
                Answer::Renewed { ttl, statuses } => {
                    Ok((ttl, statuses.map(|status| status == DoneStatus::Done).collect()))
                }
                _ => Err(Fault::Protocol("no answer to a renewal".to_owned())),
            };
            busy.connection().exchange(write, read).await
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

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
