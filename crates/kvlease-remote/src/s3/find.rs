//! Look-ups.

use futures_util::{StreamExt, TryStreamExt, stream};
use kvlease_tier::{Stat, TierError};

use super::{
    bucket::{S3, is_whole},
    format::REQUESTS_AT_ONCE,
};

impl S3 {
    /// Looks objects up: a request for each head, many at once.
    pub(super) async fn find_all(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<Stat>>, TierError> {
        self.check_open()?;
        let heads: Vec<_> = keys.iter().map(|key| self.find_one(bucket, key)).collect();
        stream::iter(heads).buffered(REQUESTS_AT_ONCE).try_collect().await
    }

    async fn find_one(&self, bucket: &str, key: &str) -> Result<Option<Stat>, TierError> {
        Ok(match self.head(bucket, key).await? {
            Some((Ok(head), len)) if is_whole(&head, len) => Some(head.stat),
            _ => None,
        })
    }
}
