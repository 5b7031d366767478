//! Calls to the shared tier, with whole objects in memory.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use kvlease_sys::Digest;
use kvlease_tier::{
    Answer, Destination, Loaded, Name, Object, Source, SourceChanged, Stat, TierError,
};
use kvlease_types::{BucketName, ByteSize, Key};

use crate::tiers::Level;

/// Names that one call lists, and one removes.
const NAMES_MAX: usize = 1000;

/// The tier that nodes share.
#[derive(Clone, Debug)]
pub(in super::super) struct Remote {
    level: Arc<Level>,
}

impl Remote {
    pub(in super::super) const fn new(level: Arc<Level>) -> Self {
        Self { level }
    }

    /// Whether the store has an object.
    pub(super) async fn has(&self, bucket: &BucketName, key: &Key) -> Result<bool, TierError> {
        Ok(self.stat(bucket, key).await?.is_some())
    }

    pub(super) async fn put(
        &self,
        bucket: &BucketName,
        key: Key,
        bytes: Vec<u8>,
    ) -> Result<(), TierError> {
        let stat = Stat { len: ByteSize::new(bytes.len() as u64), checksum: Digest::of(&bytes) };
        let object = Object { name: Name { bucket: bucket.clone(), key }, stat };
        let source = Box::new(Bytes { bytes, position: 0 });
        self.call(self.level.tier().store(&object, source)).await.map(drop)
    }

    /// Bytes of an object, which the tier has verified; `None` if there is none.
    pub(super) async fn get(
        &self,
        bucket: &BucketName,
        key: Key,
    ) -> Result<Option<Vec<u8>>, TierError> {
        let Some(stat) = self.stat(bucket, &key).await? else { return Ok(None) };
        let loaded = Arc::new(Mutex::new(None));
        let destination = Box::new(Collected { bytes: Vec::new(), loaded: Arc::clone(&loaded) });
        let name = Name { bucket: bucket.clone(), key };
        match self.call(self.level.tier().load(&name, stat, destination)).await? {
            Loaded::Absent => Ok(None),
            Loaded::Complete => Ok(loaded.lock().expect(UNPOISONED).take()),
        }
    }

    /// Keys of a bucket that begin with this.
    pub(super) async fn keys(
        &self,
        bucket: &BucketName,
        prefix: &str,
    ) -> Result<Vec<Key>, TierError> {
        let (mut keys, mut from) = (Vec::new(), None::<String>);
        loop {
            let listing =
                self.level.tier().list(bucket.as_str(), prefix, from.as_deref(), NAMES_MAX);
            let page = self.call(listing).await?;
            keys.extend(page.objects.into_iter().map(|listed| listed.key));
            from = page.next;
            if from.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(super) async fn remove(&self, bucket: &BucketName, keys: &[Key]) -> Result<(), TierError> {
        let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
        for keys in keys.chunks(NAMES_MAX) {
            self.call(self.level.tier().remove(bucket.as_str(), keys)).await?;
        }
        Ok(())
    }

    async fn stat(&self, bucket: &BucketName, key: &Key) -> Result<Option<Stat>, TierError> {
        let keys = [key.as_str()];
        let found = self.call(self.level.tier().find(bucket.as_str(), &keys)).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn call<T>(&self, answer: Answer<'_, T>) -> Result<T, TierError> {
        if !self.level.admits(false) {
            return Err(TierError::Unavailable("it fails, and is left alone for a while".into()));
        }
        self.level.call(self.level.config.timeout, answer).await
    }
}

const UNPOISONED: &str = "no thread panics while holding it";

/// Source of bytes in memory.
#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    position: usize,
}

impl Source for Bytes {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        let end = self.position + into.len();
        into.copy_from_slice(&self.bytes[self.position..end]);
        if let Some(digest) = digest {
            digest.update(into);
        }
        self.position = end;
        Ok(())
    }

    fn rewind(&mut self) -> bool {
        self.position = 0;
        true
    }
}

/// Destination in memory.
#[derive(Debug)]
struct Collected {
    bytes: Vec<u8>,
    loaded: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Destination for Collected {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        self.bytes.extend_from_slice(bytes);
        digest.update(bytes);
    }

    fn complete(mut self: Box<Self>) {
        *self.loaded.lock().expect(UNPOISONED) = Some(mem::take(&mut self.bytes));
    }
}
