//! Leases for many keys at once.

use std::{
    mem,
    time::{Duration, Instant},
};

use kvlease_api::lane::{Acquire, Frame, Kind, LeaseGrant, LeaseStatus, LeasesWriter, Mode};
use kvlease_cache::Lease;
use kvlease_engine::Leased;
use tokio::sync::watch;

use super::session::{Session, WAITS_MAX};

/// An acquire that waits for writers: what is known of it so far.
pub(super) struct Wait {
    /// The payload of its frame.
    pub(super) payload: Vec<u8>,
    /// The answer so far; what is waited for stands there as still being written.
    pub(super) answer: LeasesWriter,
    pub(super) tally: Tally,
    /// Which keys are waited for, in their order, and what wakes when their writers end.
    pub(super) writing: Vec<(usize, watch::Receiver<()>)>,
    /// The time to live that was granted.
    pub(super) ttl: Duration,
    pub(super) started: Instant,
}

/// How many keys got which answer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally(pub(super) [u64; LeaseStatus::ALL.len()]);

impl Tally {
    pub(super) fn add(&mut self, status: LeaseStatus) {
        self.0[usize::from(status.number())] += 1;
    }
}

/// Leases what can be leased now, and answers. If the client waits for what is being written, the
/// answer is given later, by what is returned.
pub(super) fn acquire(
    session: &mut Session,
    frame: &Frame<'_>,
    acquire: Acquire<'_>,
    started: Instant,
) -> Option<Wait> {
    let waits = acquire.wait > Duration::ZERO && session.waits.len() < WAITS_MAX;
    let mut answer = LeasesWriter::begin(mem::take(&mut session.out), frame.request);
    let mut tally = Tally::default();
    let mut writing = Vec::new();
    let Acquire { bucket, keys, mode, ttl, .. } = acquire;
    let leases = &mut session.leases;
    let each = |leased: Leased| {
        let status = match leased {
            Leased::Granted(granted) => {
                let lease = granted.lease();
                leases.add(lease.id.sequence, lease.deadline);
                answer.granted(&grant(lease), &lease.extents);
                return tally.add(LeaseStatus::Granted);
            }
            Leased::Writing(end) if waits => {
                writing.push((answer.count(), end));
                return answer.refused(LeaseStatus::StillWriting);
            }
            other => refusal(&other),
        };
        tally.add(status);
        answer.refused(status);
    };
    let ttl = session.lane.engine.lease_many(bucket, keys, ttl, mode == Mode::Prefix, each);
    if writing.is_empty() {
        session.out = answer.finish(ttl);
        session.lane.metrics.lane.items(Kind::Acquire, &tally.0);
        return None;
    }
    session.out = answer.detach();
    let payload = frame.payload.to_vec();
    Some(Wait { payload, answer, tally, writing, ttl, started })
}

/// The lease as its record tells of it.
pub(super) fn grant(lease: &Lease) -> LeaseGrant {
    LeaseGrant {
        slot: lease.slot,
        sequence: lease.id.sequence,
        generation: lease.generation,
        checksum: lease.checksum,
        len: lease.len,
    }
}

/// Why a key is not leased.
pub(super) fn refusal(leased: &Leased) -> LeaseStatus {
    match leased {
        Leased::Granted(_) => LeaseStatus::Granted,
        Leased::Writing(_) => LeaseStatus::StillWriting,
        Leased::Absent { evicted: false } => LeaseStatus::Absent,
        Leased::Absent { evicted: true } => LeaseStatus::Evicted,
        Leased::TooManyLeases => LeaseStatus::TooManyLeases,
        Leased::MemoryShort => LeaseStatus::MemoryShort,
    }
}
