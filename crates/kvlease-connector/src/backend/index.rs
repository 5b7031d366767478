//! Objects of the published index, as leases that no daemon granted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_lane::IndexedObject;
use kvlease_types::{ByteSize, Checksum, Extent};
use tokio::runtime::Handle;

use super::api::LeaseGuard;

/// Object that is read without a lease. Nothing pins it: it is live while its generation is in place.
#[derive(Debug)]
pub struct UnleasedObject(IndexedObject);

impl From<IndexedObject> for UnleasedObject {
    fn from(object: IndexedObject) -> Self {
        Self(object)
    }
}

impl LeaseGuard for UnleasedObject {
    fn extents(&self) -> &[Extent] {
        self.0.extents()
    }

    fn object_len(&self) -> ByteSize {
        self.0.len()
    }

    fn checksum(&self) -> Option<Checksum> {
        Some(self.0.checksum())
    }

    fn generation(&self) -> Option<u64> {
        Some(self.0.generation())
    }

    /// No time is granted.
    fn deadline(&self) -> Instant {
        Instant::now()
    }

    fn is_unexpired(&self) -> bool {
        self.0.is_live()
    }

    fn attachment(&self) -> &Arc<Attachment> {
        self.0.attachment()
    }

    fn runtime(&self) -> &Handle {
        self.0.runtime()
    }

    fn keep_alive(&self, _limit: Duration) {}
}
