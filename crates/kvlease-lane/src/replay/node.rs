//! Node of a replay: the engine as the daemon runs it, and a client that shares its memory.

use std::time::Duration;

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_attach::{GenerationsView, IndexView};
use kvlease_cache::{CatalogConfig, EvictionKind};
use kvlease_engine::{Engine, EngineConfig, ReserveLimits};
use kvlease_sys::{Digest, FingerprintKey};
use kvlease_types::{BucketName, ByteSize, Caller, Epoch, Key, LeaseId, Mode};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{reads::Reads, report::REPORT_INTERVAL};

const BUCKET: &str = "b";
const CALLER: Caller = Caller::DAEMON;
const EPOCH: Epoch = Epoch::new(1);
const TTL: Duration = Duration::from_secs(30);

/// Space that a block takes: the least that an object can take.
const BLOCK: ByteSize = ByteSize::kib(4);

/// Way of a client to what it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// By leases.
    Leased,
    /// By the published index, and what it reads is reported.
    Indexed,
    /// The same, and the reports are lost.
    Untold,
}

/// Node whose objects are the blocks of a trace.
pub(super) struct Node {
    way: Way,
    engine: Engine,
    index: IndexView,
    generations: GenerationsView,
    /// Notes of the client, as the lane makes them.
    reads: Reads,
    /// Time of the next report, if a task for it runs.
    report_at: Option<Duration>,
    /// Blocks that were read.
    pub(super) hits: usize,
    /// Of these, blocks that were leased.
    pub(super) leased: usize,
    _runtime: Runtime,
    _dir: TempDir,
}

impl Node {
    /// Node with room for as many blocks.
    pub(super) fn new(way: Way, eviction: EvictionKind, blocks: usize) -> Self {
        let dir = TempDir::with_prefix_in("kvlease-replay-", "/dev/shm").unwrap();
        let capacity = ByteSize::new(BLOCK.bytes() * blocks as u64);
        let engine = engine(&dir, capacity, eviction);
        let index = engine.published_index();
        let passed = index.descriptor().try_clone_to_owned().unwrap();
        let incarnation = (engine.incarnation_descriptor().unwrap(), EPOCH);
        let index =
            IndexView::from_descriptors((passed, index.slots(), index.key()), incarnation, BUCKET);
        let generations = engine.generations().descriptor().try_clone_to_owned().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self {
            way,
            index: index.unwrap(),
            generations: GenerationsView::from_descriptor(generations).unwrap(),
            reads: Reads::new(runtime.handle().clone()),
            report_at: None,
            hits: 0,
            leased: 0,
            engine,
            _runtime: runtime,
            _dir: dir,
        }
    }

    /// Reads the prefix of a prompt that is there, and stores the rest.
    pub(super) fn serve(&mut self, at: Duration, keys: &[String]) {
        self.report(at);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let indexed = match self.way {
            Way::Leased => 0,
            Way::Indexed | Way::Untold => self.read_indexed(at, &keys),
        };
        let leased = self.read_leased(&keys[indexed..]);
        self.hits += indexed + leased;
        self.leased += leased;
        self.store(&keys[indexed + leased..]);
    }

    /// Tells the engine of reads, if it is time for the client's report.
    fn report(&mut self, now: Duration) {
        while let Some(at) = self.report_at.filter(|at| *at <= now) {
            let taken = self.reads.take();
            if let Some((objects, reads)) = &taken
                && self.way == Way::Indexed
            {
                self.engine.note_reads(&CALLER, objects, *reads);
            }
            // The task ends when there is nothing to tell.
            self.report_at = taken.map(|_| at + REPORT_INTERVAL);
            if self.report_at.is_none() {
                self.reads.end_task();
            }
        }
    }

    /// Number of blocks before the first one that the index does not name.
    fn read_indexed(&mut self, now: Duration, keys: &[&str]) -> usize {
        let found = keys.iter().map_while(|key| {
            let object = self.index.find(key).filter(|object| !object.leased_only)?;
            let is_in_place = self.generations.get(object.slot) == object.generation;
            is_in_place.then(|| self.reads.note(object.slot, object.generation, 1).unwrap())
        });
        let starts: Vec<bool> = found.collect();
        if starts.contains(&true) {
            self.report_at = Some(now + REPORT_INTERVAL);
        }
        starts.len()
    }

    /// Number of blocks before the first one that is not there. They are leased, and released.
    fn read_leased(&self, keys: &[&str]) -> usize {
        let grants = self.engine.acquire(&CALLER, BUCKET, keys, Mode::Prefix, None);
        let ids: Vec<LeaseId> = grants.outcomes().iter().flatten().map(|lease| lease.id).collect();
        grants.deliver();
        self.engine.release(&CALLER, &ids);
        ids.len()
    }

    /// Stores blocks. Those that are there stay as they are.
    fn store(&self, keys: &[&str]) {
        let bucket = BucketName::new(BUCKET).unwrap();
        let items = keys.iter().map(|key| (Key::new(*key).unwrap(), BLOCK)).collect();
        let limits = ReserveLimits { reservations: keys.len(), open: ByteSize::ZERO };
        let reserved = self.engine.reserve(&CALLER, &bucket, items, limits);
        // No reader looks at the bytes.
        let any = Digest::new().finish();
        let filled = reserved.into_iter().flatten().map(|reservation| (reservation, any)).collect();
        let stored = self.engine.commit(&CALLER, filled);
        assert!(stored.iter().all(Result::is_ok));
    }
}

fn engine(dir: &TempDir, capacity: ByteSize, eviction: EvictionKind) -> Engine {
    let segment = SegmentOptions {
        dir: dir.path().to_owned(),
        ..SegmentOptions::new("segment".parse().unwrap(), capacity, TTL)
    };
    let catalog = CatalogConfig { capacity, eviction, ..CatalogConfig::default() };
    let key = FingerprintKey::new([7; FingerprintKey::LEN]);
    let config = EngineConfig { cold: true, ..EngineConfig::new(catalog, TTL, key) };
    Engine::start(Arena::open(&segment).unwrap(), config, EPOCH).unwrap()
}
