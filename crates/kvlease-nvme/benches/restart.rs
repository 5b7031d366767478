//! Time of a start with a million objects, after a clean end and after one that left segments without
//! a table.
//!
//! `cargo bench -p kvlease-nvme --bench restart`

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::{path::Path, time::Instant};

use futures_util::{StreamExt, stream};
use kvlease_nvme::{NvmeConfig, NvmeTier};
use kvlease_sys::Digest;
use kvlease_tier::{Name, Object, Source, SourceChanged, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Key};
use tempfile::TempDir;

const OBJECTS: u64 = 1_000_000;
const AT_A_TIME: usize = 64;
const CAPACITY: ByteSize = ByteSize::gib(6);

fn main() {
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tier = open(&folder, "new file");
    let began = Instant::now();
    runtime.block_on(store_all(&tier));
    let rate = OBJECTS as f64 / began.elapsed().as_secs_f64();
    println!("{OBJECTS} stores of 8 bytes, {AT_A_TIME} at a time: {rate:.0} a second");
    drop(tier);
    let tier = open(&folder, "after a tier that was dropped");
    runtime.block_on(tier.close()).unwrap();
    drop(tier);
    open(&folder, "after a tier that was closed");
}

fn open(folder: &TempDir, case: &str) -> NvmeTier {
    let config = NvmeConfig { capacity: Some(CAPACITY), ..NvmeConfig::new(folder.path()) };
    let began = Instant::now();
    let (tier, recovery) = NvmeTier::open(config).unwrap();
    println!("{case}: {} ms, {recovery}", began.elapsed().as_millis());
    tier
}

async fn store_all(tier: &NvmeTier) {
    let bucket = BucketName::new("bench").unwrap();
    let stat = Stat { len: ByteSize::new(8), checksum: Digest::of(&[7; 8]) };
    let object = |number: u64| {
        let key = Key::new(format!("model@256@0@{number:064x}")).unwrap();
        Object { name: Name { bucket: bucket.clone(), key }, stat }
    };
    let store = async |number: u64| {
        tier.store(&object(number), Box::new(Sevens)).await.unwrap();
    };
    stream::iter((0..OBJECTS).map(store)).buffer_unordered(AT_A_TIME).for_each(async |()| {}).await;
}

#[derive(Debug)]
struct Sevens;

impl Source for Sevens {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        into.fill(7);
        if let Some(digest) = digest {
            digest.update(into);
        }
        Ok(())
    }
}
