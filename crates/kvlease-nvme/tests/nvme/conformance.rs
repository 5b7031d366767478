//! The conformance suite of tiers, on a real file.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use kvlease_nvme::{IoChoice, NvmeConfig, NvmeTier};
use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{Damage, NotPossible, Step, Store};
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::opening::folder;

const BLOCK: usize = 4096;

/// Room for the suite, and for a segment that is open, one that is next and two that are free.
const CAPACITY: ByteSize = ByteSize::mib(256);

struct NvmeStore {
    folder: TempDir,
    io: IoChoice,
}

impl NvmeStore {
    fn ring() -> Self {
        Self { folder: folder(), io: IoChoice::Auto }
    }

    fn threads() -> Self {
        Self { folder: folder(), io: IoChoice::Threads }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("kvlease.tier")
    }
}

impl Store for NvmeStore {
    fn open(&self) -> Step<'_, Arc<dyn Tier>> {
        let config = NvmeConfig {
            capacity: Some(CAPACITY),
            io: self.io,
            ..NvmeConfig::new(self.folder.path())
        };
        Box::pin(async {
            let (tier, _) = NvmeTier::open(config).expect("the tier before it has ended");
            let tier: Arc<dyn Tier> = Arc::new(tier);
            tier
        })
    }

    fn damage<'a>(&'a self, name: &'a Name, damage: Damage) -> Step<'a, Result<(), NotPossible>> {
        Box::pin(async move {
            let file = OpenOptions::new().read(true).write(true).open(self.file());
            let file = file.expect("the tier has made it");
            change(&file, name, &damage).expect("the file can be written to");
            Ok(())
        })
    }
}

/// Record of the file, found as docs/nvme-tier.md describes it.
struct Record {
    at: u64,
    /// Order in the log.
    position: (u64, u32),
    bytes: Vec<u8>,
    data_at: usize,
}

/// The latest record of a name.
fn find(file: &File, name: &Name) -> io::Result<Record> {
    let (bucket, key) = (name.bucket.as_str().as_bytes(), name.key.as_str().as_bytes());
    let names = [bucket, key].concat();
    let mut latest: Option<Record> = None;
    let mut block = vec![0; BLOCK];
    for at in (1 << 20..file.metadata()?.len()).step_by(BLOCK) {
        file.read_exact_at(&mut block[..8], at)?;
        if block[..8] != *b"KVLRECD1" {
            continue;
        }
        file.read_exact_at(&mut block, at)?;
        let number = |at: usize, len: usize| {
            block[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let lens = (block[21].into(), number(22, 2) as usize);
        let position = (number(8, 8), number(16, 4) as u32);
        let is_it = block[20] == 1
            && lens == (bucket.len(), key.len())
            && block[56..].starts_with(&names)
            && latest.as_ref().is_none_or(|latest| latest.position < position);
        if is_it {
            let header_len = (56 + names.len()).next_multiple_of(8);
            let len = number(24, 8) as usize;
            let data_at = if header_len + len <= BLOCK { header_len } else { BLOCK };
            let mut bytes = vec![0; (data_at + len).next_multiple_of(BLOCK)];
            file.read_exact_at(&mut bytes, at)?;
            latest = Some(Record { at, position, bytes, data_at });
        }
    }
    Ok(latest.expect("the object was stored"))
}

fn change(file: &File, name: &Name, damage: &Damage) -> io::Result<()> {
    let mut record = find(file, name)?;
    let half = record.data_at + (record.bytes.len() - record.data_at) / 2;
    match damage {
        Damage::FlipBit => record.bytes[record.data_at] ^= 1,
        Damage::Truncate => record.bytes[half..].fill(0),
        Damage::ReplaceBy(other) => record.bytes = find(file, other)?.bytes,
        Damage::Garbage => record.bytes.fill(0x5a),
    }
    file.write_all_at(&record.bytes, record.at)?;
    file.sync_all()
}

mod with_a_ring {
    use super::NvmeStore;

    kvlease_tier_conformance::conformance_tests! {
        NvmeStore::ring,
        no_secret_is_shown: "a file has no credentials",
        stopped_store: "a device does not stop; its errors are tested within the crate",
        stopped_during_a_load: "a device does not stop; its errors are tested within the crate",
        stopped_during_a_store: "a device does not stop; its errors are tested within the crate",
        slow_store: "a file cannot be slowed down",
        full_store: "the room is reserved, and the oldest objects make way",
    }
}

mod with_threads {
    use super::NvmeStore;

    kvlease_tier_conformance::conformance_tests! {
        NvmeStore::threads,
        no_secret_is_shown: "a file has no credentials",
        stopped_store: "a device does not stop; its errors are tested within the crate",
        stopped_during_a_load: "a device does not stop; its errors are tested within the crate",
        stopped_during_a_store: "a device does not stop; its errors are tested within the crate",
        slow_store: "a file cannot be slowed down",
        full_store: "the room is reserved, and the oldest objects make way",
    }
}
