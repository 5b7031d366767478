//! Listings.

use futures_util::{StreamExt, TryStreamExt, stream};
use kvlease_tier::{Listed, Page, TierError};
use kvlease_types::{ByteSize, Key};
use object_store::{
    ObjectMeta,
    list::{PaginatedListOptions, PaginatedListStore},
};

use super::{
    bucket::{S3, is_whole},
    format::REQUESTS_AT_ONCE,
};
use crate::{
    head::{HEAD_LEN_MAX, Head, head_len},
    segment::Segment,
};

impl S3 {
    /// One page of a bucket's objects. The store lists names and lengths; only a name that is too long
    /// for the store is read from its value.
    pub(super) async fn list_page(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page, TierError> {
        self.check_open()?;
        let start = self.layout.objects(bucket, prefix);
        let options = PaginatedListOptions {
            max_keys: Some(limit),
            page_token: from.map(str::to_owned),
            ..PaginatedListOptions::default()
        };
        let listed = self.store.list_paginated(Some(&start), options);
        let listed = self.call("ListObjectsV2", listed).await?;
        let values = listed.result.objects.iter();
        let objects: Vec<_> = values.map(|value| self.listed(bucket, value)).collect();
        let objects: Vec<_> =
            stream::iter(objects).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let objects = objects.into_iter().flatten();
        let wanted = objects.filter(|object| object.key.as_str().starts_with(prefix)).collect();
        Ok(Page { objects: wanted, next: listed.page_token })
    }

    async fn listed(&self, bucket: &str, value: &ObjectMeta) -> Result<Option<Listed>, TierError> {
        let name = value.location.as_ref();
        let segment = name.strip_prefix(&self.layout.bucket(bucket));
        let segment = segment.and_then(|segment| self.layout.read(segment));
        match segment {
            None => Ok(None),
            Some(Segment::Whole(key)) => {
                let len = value.size.checked_sub(head_len(bucket, &key) as u64);
                let key = Key::new(key).ok();
                Ok(key.zip(len).map(|(key, len)| Listed { key, len: ByteSize::new(len) }))
            }
            Some(Segment::Shortened) => {
                let start = self.range(&value.location, 0..HEAD_LEN_MAX as u64).await?;
                let head = start.and_then(|start| {
                    let head = Head::decode(&start.to_vec()).ok()?;
                    is_whole(&head, start.len).then_some(head)
                });
                let head = head.filter(|head| {
                    let (bucket, key) = (head.name.bucket.as_str(), head.name.key.as_str());
                    self.layout.object(bucket, key) == name
                });
                Ok(head.map(|head| Listed { key: head.name.key, len: head.stat.len }))
            }
        }
    }
}
