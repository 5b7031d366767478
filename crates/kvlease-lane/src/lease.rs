//! The guard of a lease over the fast lane.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_types::{ByteSize, Checksum, Extent};
use tokio::runtime::Handle;

use super::{Lane, LaneError, batch::Batch};

/// The right to read one object's extents until its deadline, or until the connection ends.
///
/// Dropping it releases it; the releases of a batch go out together. It does nothing in a forked
/// child: the lease is the parent's.
#[derive(Debug)]
pub struct LaneLease {
    batch: Arc<Batch>,
    slot: u32,
}

impl LaneLease {
    pub(super) fn new(batch: &Arc<Batch>, slot: u32) -> Self {
        Self { batch: Arc::clone(batch), slot }
    }

    /// Where the object's bytes are in the arena, in their order. Not checked against the mapping.
    pub fn extents(&self) -> &[Extent] {
        self.batch.extents(self.slot)
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.batch.slot(self.slot).grant.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == ByteSize::ZERO
    }

    /// The checksum of the object's bytes.
    pub fn checksum(&self) -> Checksum {
        self.batch.slot(self.slot).grant.checksum
    }

    /// The object's generation.
    pub fn generation(&self) -> u64 {
        self.batch.slot(self.slot).grant.generation
    }

    /// Until when the extents may be read, counted from before the request left.
    pub fn deadline(&self) -> Instant {
        self.batch.deadline(self.slot)
    }

    /// Whether the bytes in the arena are the object's. If they are after a copy that began when
    /// they were, the copy is right. No call is made.
    pub fn is_live(&self) -> bool {
        let grant = &self.batch.slot(self.slot).grant;
        self.batch.core.session.holds(grant.slot, grant.generation)
            && Instant::now() < self.deadline()
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants. `false` if
    /// it has ended.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`].
    pub async fn renew(&self, ttl: Duration, limit: Duration) -> Result<bool, LaneError> {
        Ok(self.batch.renew_slots(&[self.slot], ttl, limit).await? == [true])
    }

    /// The lane that the lease came over.
    pub fn lane(&self) -> Lane {
        Lane { core: Arc::clone(&self.batch.core) }
    }

    /// The mapping of the arena.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.batch.core.session.attachment()
    }

    /// Has the lease renewed for as long as its guard lives. A renewal may take as long as `limit`.
    pub fn keep_alive(&self, limit: Duration) {
        self.batch.keep(self.slot, limit);
    }

    /// The runtime for its work in the background.
    pub fn runtime(&self) -> &Handle {
        &self.batch.runtime
    }
}

impl Drop for LaneLease {
    fn drop(&mut self) {
        self.batch.end(self.slot);
    }
}
