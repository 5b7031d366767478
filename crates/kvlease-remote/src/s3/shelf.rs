//! Entries of the directory: each is a value of its own.

use kvlease_tier::{Answer, Object, Source, Stored, TierError};
use object_store::{
    ObjectStoreExt, PutPayload,
    list::{PaginatedListOptions, PaginatedListStore},
};

use super::bucket::{S3, is_absent, path};
use crate::{directory::Shelf, layout::Layout};

/// Pages of the list of entries: a store with more has something else under the prefix.
const PAGES_MAX: usize = 1000;

impl Shelf for S3 {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn write<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(self.write_object(object, source))
    }

    fn entries(&self) -> Answer<'_, Vec<String>> {
        Box::pin(self.list_entries())
    }

    fn read_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let path = path(&self.layout.entry(entry))?;
            self.call("GET", async {
                match self.store.get(&path).await {
                    Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
                    Err(error) if is_absent(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await
        })
    }

    fn write_entry<'a>(&'a self, entry: &'a str, bytes: Vec<u8>) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = path(&self.layout.entry(entry))?;
            self.call("PUT", self.store.put(&path, PutPayload::from(bytes))).await?;
            Ok(())
        })
    }

    fn remove_entry<'a>(&'a self, entry: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.delete(&path(&self.layout.entry(entry))?).await })
    }
}

impl S3 {
    async fn list_entries(&self) -> Result<Vec<String>, TierError> {
        let start = self.layout.directory() + "/";
        let (mut names, mut page_token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            let listed = self.store.list_paginated(Some(&start), options);
            let listed = self.call("ListObjectsV2", listed).await?;
            let objects = listed.result.objects.iter();
            let entries = objects.filter_map(|value| value.location.as_ref().strip_prefix(&start));
            names.extend(entries.map(str::to_owned));
            page_token = listed.page_token;
            if page_token.is_none() {
                break;
            }
        }
        Ok(names)
    }
}
