//! Removal.

use futures_util::{StreamExt, TryStreamExt, stream};
use kvlease_tier::TierError;
use object_store::{Error, ObjectStoreExt, path::Path};

use super::{
    bucket::{S3, is_absent},
    format::REQUESTS_AT_ONCE,
};

impl S3 {
    /// Removes objects. The store does not say whether they were there, so it is asked before.
    pub(super) async fn remove_all(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Result<Vec<bool>, TierError> {
        self.check_open()?;
        let removals: Vec<_> = keys.iter().map(|key| self.remove_one(bucket, key)).collect();
        stream::iter(removals).buffered(REQUESTS_AT_ONCE).try_collect().await
    }

    async fn remove_one(&self, bucket: &str, key: &str) -> Result<bool, TierError> {
        let path = self.path(bucket, key)?;
        let is_there = self.call("HEAD", async {
            match self.store.head(&path).await {
                Ok(_) => Ok(true),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        });
        if is_there.await? {
            self.delete(&path).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Removes a value.
    pub(super) async fn delete(&self, path: &Path) -> Result<(), TierError> {
        self.call("DELETE", async {
            match self.store.delete(path).await {
                Ok(()) => Ok(()),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}
