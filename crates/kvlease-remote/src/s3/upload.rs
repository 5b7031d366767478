//! Multipart upload, aborted unless it is completed.

use std::sync::Arc;

use bytes::Bytes;
use kvlease_tier::TierError;
use object_store::{
    MultipartId, PutPayload,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use tokio::runtime::Handle;

use super::bucket::S3;

/// Multipart upload that is under way. Dropping it makes the store forget its parts.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    tier: &'a S3,
    path: Path,
    id: MultipartId,
    is_completed: bool,
}

impl<'a> Upload<'a> {
    /// Begins an upload.
    pub(super) async fn begin(tier: &'a S3, path: Path) -> Result<Self, TierError> {
        let id = tier.call("CreateMultipartUpload", tier.store.create_multipart(&path)).await?;
        Ok(Self { tier, path, id, is_completed: false })
    }

    /// Sends a part.
    pub(super) async fn send(&self, number: usize, bytes: Vec<Bytes>) -> Result<PartId, TierError> {
        let payload = PutPayload::from_iter(bytes);
        let sent = self.tier.store.put_part(&self.path, &self.id, number, payload);
        self.tier.call("UploadPart", sent).await
    }

    /// Publishes the value: all parts, in order.
    pub(super) async fn complete(mut self, parts: Vec<PartId>) -> Result<(), TierError> {
        let completed = self.tier.store.complete_multipart(&self.path, &self.id, parts);
        self.tier.call("CompleteMultipartUpload", completed).await?;
        self.is_completed = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.is_completed {
            return;
        }
        // Outside a runtime, the store's own rule for old uploads has to do.
        if let Ok(runtime) = Handle::try_current() {
            let store: Arc<AmazonS3> = Arc::clone(&self.tier.store);
            let (path, id) = (self.path.clone(), self.id.clone());
            runtime.spawn(async move { store.abort_multipart(&path, &id).await });
        }
    }
}
