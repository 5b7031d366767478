//! The guard of a lease over the fast lane.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kvlease_api::lane::{Answer, DoneStatus, IdsWriter, LeaseGrant};
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{Lane, LaneError, error::Fault, link::Link, open::Shared};

/// The right to read one object's extents until its deadline, or until the connection ends.
///
/// Dropping it releases it; the releases of a batch go out together. It does nothing in a forked
/// child: the lease is the parent's.
#[derive(Debug)]
pub struct LaneLease {
    shared: Arc<Shared>,
    link: Arc<Link>,
    pid: u32,
    key: Key,
    grant: LeaseGrant,
    extents: Vec<Extent>,
    asked: Instant,
    /// Nanoseconds from `asked` to the deadline.
    life: AtomicU64,
}

impl LaneLease {
    pub(super) fn new(
        shared: &Arc<Shared>,
        link: &Arc<Link>,
        key: Key,
        (grant, extents): (LeaseGrant, Vec<Extent>),
        (asked, ttl): (Instant, Duration),
    ) -> Self {
        link.begin_lease();
        shared.counts.leases.fetch_add(1, Ordering::Relaxed);
        let (shared, link) = (Arc::clone(shared), Arc::clone(link));
        let life = AtomicU64::new(nanos(ttl));
        Self { shared, link, pid: process::id(), key, grant, extents, asked, life }
    }

    /// The object's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Where the object's bytes are in the arena, in their order. Not checked against the mapping.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.grant.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.grant.len == ByteSize::ZERO
    }

    /// The checksum of the object's bytes.
    pub fn checksum(&self) -> Checksum {
        self.grant.checksum
    }

    /// Until when the extents may be read, counted from before the request left.
    pub fn deadline(&self) -> Instant {
        self.asked + Duration::from_nanos(self.life.load(Ordering::Relaxed))
    }

    /// Whether the bytes in the arena are the object's. If they are after a copy that began when
    /// they were, the copy is right. Asks nobody.
    pub fn is_live(&self) -> bool {
        self.shared.session.holds(self.grant.slot, self.grant.generation)
            && Instant::now() < self.deadline()
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants. `false` if
    /// it has ended.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`].
    pub async fn renew(&self, ttl: Duration, limit: Duration) -> Result<bool, LaneError> {
        let lane = Lane { shared: Arc::clone(&self.shared) };
        let asked = Instant::now();
        let renewed = lane.call_on(&self.link, limit, async |busy| {
            let write = |out: &mut Vec<u8>, request| {
                let mut frame = IdsWriter::renew(out, request, Some(ttl));
                frame.push(self.grant.sequence).expect("a frame has room for one");
                frame.finish();
            };
            busy.connection()
                .exchange(write, |answer, _| match answer {
                    Answer::Renewed { ttl, mut statuses } => Ok((ttl, statuses.next())),
                    _ => Err(Fault::Protocol("no answer to a renewal".to_owned())),
                })
                .await
        });
        let (ttl, status) = renewed.await?;
        let renewed = status == Some(DoneStatus::Done);
        if renewed {
            let until = asked.saturating_duration_since(self.asked).saturating_add(ttl);
            self.life.store(nanos(until), Ordering::Relaxed);
        }
        Ok(renewed)
    }
}

impl Drop for LaneLease {
    fn drop(&mut self) {
        if self.pid != process::id() {
            return;
        }
        self.shared.counts.ended.fetch_add(1, Ordering::Relaxed);
        if self.link.end_lease(self.grant.sequence) {
            self.shared.flush(&self.link);
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
