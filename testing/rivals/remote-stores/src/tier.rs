//! kvlease's tier: from and to shared memory, with its checksum.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use kvlease_remote::{AccessKey, Options, open};
use kvlease_tier::{Name, Object, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Checksum, Key};

use crate::{
    Client, Outcome, TURN,
    arena::{Arena, Place},
};

/// Bucket of the objects.
const BUCKET: &str = "b";

pub(crate) struct Tiered {
    tier: Arc<dyn Tier>,
    arena: Arena,
    /// Checksums by place and length, which a daemon has from the puts into memory.
    checksums: Mutex<HashMap<(u64, u64), Checksum>>,
}

impl Tiered {
    pub(crate) fn open(url: &str, access_key: Option<AccessKey>) -> Outcome<Self> {
        let tier = open(url, &Options { access_key, ..Options::new("benchmark") })?;
        Ok(Self { tier, arena: Arena::new(TURN)?, checksums: Mutex::default() })
    }

    /// An object and its place. The warm-up makes its checksum.
    fn object(&self, number: usize, size: usize) -> Outcome<(Object, Box<Place>)> {
        let (at, len) = ((number * size % TURN) as u64, ByteSize::new(size as u64));
        let mut checksums = self.checksums.lock().expect("nothing panics under the lock");
        let checksum =
            *checksums.entry((at, len.bytes())).or_insert_with(|| self.arena.checksum(at, len));
        let name = Name { bucket: BucketName::new(BUCKET)?, key: Key::new(key(number, size))? };
        let object = Object { name, stat: Stat { len, checksum } };
        Ok((object, self.arena.place(at)))
    }
}

impl Client for Tiered {
    fn put(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let (object, place) = self.object(number, size)?;
            self.tier.store(&object, place).await?;
            Ok(())
        })
    }

    fn get(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let (object, place) = self.object(number, size)?;
            self.tier.load(&object.name, object.stat, place).await?;
            Ok(())
        })
    }

    fn remove(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            self.tier.remove(BUCKET, &[&key(number, size)]).await?;
            Ok(())
        })
    }
}

fn key(number: usize, size: usize) -> String {
    format!("{size}-{number}")
}
