//! kvlease's tier: from and to shared memory of 4 KiB pages, synced, with checksums.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use kvlease_nvme::{NvmeConfig, NvmeTier};
use kvlease_tier::{Name, Object, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Key};
use tokio::runtime::{Builder, Runtime};

use crate::{CAPACITY, Outcome, Store, TURN, arena::Arena, at_a_time};

pub(crate) struct Tiered {
    tier: NvmeTier,
    arena: Arena,
    /// Objects of the last puts.
    objects: Vec<(Object, u64)>,
    runtime: Runtime,
}

impl Tiered {
    pub(crate) fn open(directory: &Path) -> Outcome<Self> {
        let capacity = Some(ByteSize::new(CAPACITY));
        let (tier, _) = NvmeTier::open(NvmeConfig { capacity, ..NvmeConfig::new(directory) })?;
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self { tier, arena: Arena::new(TURN)?, objects: Vec::new(), runtime })
    }

    /// The checksums, which a daemon has from the put into memory.
    fn describe(&mut self, size: usize, first: usize, count: usize) -> Outcome<()> {
        let bucket = BucketName::new("b")?;
        self.objects.clear();
        for number in 0..count {
            let at = (number * size % TURN) as u64;
            let len = ByteSize::new(size as u64);
            let key = Key::new(format!("object-{}", first + number))?;
            let stat = Stat { len, checksum: self.arena.checksum(at, len) };
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
        let stores = self
            .objects
            .iter()
            .map(|(object, at)| async move { tier.store(object, arena.place(*at)).await });
        let all = stream::iter(stores).buffer_unordered(at_a_time(size));
        self.runtime.block_on(all.try_for_each(|_| async { Ok(()) }))?;
        Ok(())
    }

    fn get(&mut self, size: usize, _first: usize, _count: usize) -> Outcome<()> {
        let (tier, arena) = (&self.tier, &self.arena);
        let loads = self.objects.iter().map(|(object, at)| async move {
            let place = arena.place(*at);
            tier.load(&object.name, object.stat, place).await
        });
        let all = stream::iter(loads).buffer_unordered(at_a_time(size));
        self.runtime.block_on(all.try_for_each(|_| async { Ok(()) }))?;
        Ok(())
    }
}
