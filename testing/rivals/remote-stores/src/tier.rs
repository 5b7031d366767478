//! kvlease's tier: from and to shared memory, with its checksum.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::AsFd,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use kvlease_remote::{AccessKey, Options, open};
use kvlease_sys::{Access, Digest, Mapping};
use kvlease_tier::{Destination, Name, Object, Source, SourceChanged, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, Offset};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::{Client, Outcome, TURN, fill};

/// Bucket of the objects.
const BUCKET: &str = "b";

pub(crate) struct Tiered {
    tier: Arc<dyn Tier>,
    arena: Arc<Mapping>,
    /// Checksums by place and length, which a daemon has from the puts into memory.
    checksums: Mutex<HashMap<(u64, u64), Checksum>>,
}

impl Tiered {
    pub(crate) fn open(url: &str, access_key: Option<AccessKey>) -> Outcome<Self> {
        let tier = open(url, &Options { access_key, ..Options::new("benchmark") })?;
        let memory = File::from(memfd_create("remote-stores", MemfdFlags::CLOEXEC)?);
        memory.set_len(TURN as u64)?;
        let arena = Mapping::new(memory.as_fd(), TURN, Access::ReadWrite)?;
        let mut bytes = vec![0; TURN];
        fill(&mut bytes);
        arena.copy_in(Offset::new(0), &bytes, None);
        Ok(Self { tier, arena: Arc::new(arena), checksums: Mutex::default() })
    }

    /// An object and its place. The warm-up makes its checksum.
    fn object(&self, number: usize, size: usize) -> Outcome<(Object, Box<Place>)> {
        let (at, len) = ((number * size) as u64, ByteSize::new(size as u64));
        let mut checksums = self.checksums.lock().expect("nothing panics under the lock");
        let checksum = *checksums.entry((at, len.bytes())).or_insert_with(|| {
            let mut digest = Digest::new();
            self.arena.digest(Extent::new(Offset::new(at), len), &mut digest);
            digest.finish()
        });
        let name = Name { bucket: BucketName::new(BUCKET)?, key: Key::new(key(number, size))? };
        let object = Object { name, stat: Stat { len, checksum } };
        Ok((object, Box::new(Place { arena: Arc::clone(&self.arena), at })))
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

/// Bytes in the arena, as a source or a destination.
#[derive(Debug)]
struct Place {
    arena: Arc<Mapping>,
    at: u64,
}

impl Source for Place {
    fn read(&mut self, into: &mut [u8], digest: &mut Digest) -> Result<(), SourceChanged> {
        let extent = Extent::new(Offset::new(self.at), ByteSize::new(into.len() as u64));
        self.arena.copy_out(extent, into, Some(digest));
        self.at += into.len() as u64;
        Ok(())
    }
}

impl Destination for Place {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        self.arena.copy_in(Offset::new(self.at), bytes, Some(digest));
        self.at += bytes.len() as u64;
    }

    fn complete(self: Box<Self>) {}
}
