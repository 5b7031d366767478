//! The trait, for S3.

use kvlease_tier::{
    Answer, Destination, Loaded, Name, Object, Page, Presence, Source, Stat, Stored, Tier, Usage,
};

use super::{bucket::S3, format::LEN_MAX};

impl Tier for S3 {
    fn kind(&self) -> &'static str {
        "s3"
    }

    fn place(&self) -> String {
        self.shown.clone()
    }

    fn len_max(&self) -> u64 {
        LEN_MAX.bytes()
    }

    fn presence(&self, _bucket: &str, _key: &str) -> Presence {
        Presence::Unknown
    }

    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>> {
        Box::pin(self.find_all(bucket, keys))
    }

    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded> {
        Box::pin(self.load_object(name, stat, destination))
    }

    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(self.store_object(object, source))
    }

    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.remove_all(bucket, keys))
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page> {
        Box::pin(self.list_page(bucket, prefix, from, limit))
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.shut();
        Box::pin(async { Ok(()) })
    }
}
