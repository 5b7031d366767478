//! kvlease's tier: from and to shared memory of 4 KiB pages, synced, with checksums.

use std::{fs::File, os::fd::AsFd, path::Path, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use kvlease_nvme::{NvmeConfig, NvmeTier};
use kvlease_sys::{Access, Digest, Mapping};
use kvlease_tier::{Destination, Name, Object, Source, SourceChanged, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Extent, Key, Offset};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::runtime::{Builder, Runtime};

use crate::{CAPACITY, Outcome, Store, TURN, at_a_time, fill};

pub(crate) struct Tiered {
    tier: NvmeTier,
    arena: Arc<Mapping>,
    /// Objects of the last puts.
    objects: Vec<(Object, u64)>,
    runtime: Runtime,
}

impl Tiered {
    pub(crate) fn open(directory: &Path) -> Outcome<Self> {
        let capacity = Some(ByteSize::new(CAPACITY));
        let (tier, _) = NvmeTier::open(NvmeConfig { capacity, ..NvmeConfig::new(directory) })?;
        let memory = File::from(memfd_create("disk-stores", MemfdFlags::CLOEXEC)?);
        memory.set_len(TURN as u64)?;
        let arena = Mapping::new(memory.as_fd(), TURN, Access::ReadWrite)?;
        let mut bytes = vec![0; TURN];
        fill(&mut bytes);
        arena.copy_in(Offset::new(0), &bytes, None);
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self { tier, arena: Arc::new(arena), objects: Vec::new(), runtime })
    }

    /// The checksums, which a daemon has from the put into memory.
    fn describe(&mut self, size: usize, first: usize, count: usize) -> Outcome<()> {
        let bucket = BucketName::new("b")?;
        self.objects.clear();
        for number in 0..count {
            let at = (number * size % TURN) as u64;
            let (len, mut digest) = (ByteSize::new(size as u64), Digest::new());
            self.arena.digest(Extent::new(Offset::new(at), len), &mut digest);
            let key = Key::new(format!("object-{}", first + number))?;
            let stat = Stat { len, checksum: digest.finish() };
            self.objects.push((Object { name: Name { bucket: bucket.clone(), key }, stat }, at));
        }
        Ok(())
    }
}

impl Store for Tiered {
    fn greeting(&self) -> String {
        self.tier.way().to_string()
    }

    fn prepare(&mut self, size: usize, first: usize, count: usize) -> Outcome<()> {
        self.describe(size, first, count)
    }

    fn put(&mut self, size: usize, _first: usize, _count: usize) -> Outcome<()> {
        let (tier, arena) = (&self.tier, &self.arena);
        let stores = self.objects.iter().map(|(object, at)| async move {
            tier.store(object, Box::new(Place { arena: Arc::clone(arena), at: *at })).await
        });
        let all = stream::iter(stores).buffer_unordered(at_a_time(size));
        self.runtime.block_on(all.try_for_each(|_| async { Ok(()) }))?;
        Ok(())
    }

    fn get(&mut self, size: usize, _first: usize, _count: usize) -> Outcome<()> {
        let (tier, arena) = (&self.tier, &self.arena);
        let loads = self.objects.iter().map(|(object, at)| async move {
            let place = Box::new(Place { arena: Arc::clone(arena), at: *at });
            tier.load(&object.name, object.stat, place).await
        });
        let all = stream::iter(loads).buffer_unordered(at_a_time(size));
        self.runtime.block_on(all.try_for_each(|_| async { Ok(()) }))?;
        Ok(())
    }
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
