//! World of a run: the daemon, its clients, and the objects that are known to be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt,
    sync::Arc,
    time::Duration,
};

use kvlease_arena::{Arena, ManifestOrigin, SegmentOptions};
use kvlease_cache::{CatalogConfig, EvictionKind, ListCursor, Victim};
use kvlease_sys::FingerprintKey;
use kvlease_testing::Draws;
use kvlease_types::{BucketName, ByteSize, Caller, Epoch, Key, Timestamp};
use tempfile::TempDir;

use super::{
    clients::{Fill, Peeker, Reader, Upload, place},
    peeks::Views,
};
use crate::{
    clock::{now, virtual_clock},
    config::EngineConfig,
    maintenance::reap,
    shared::Shared,
};

const CAPACITY: ByteSize = ByteSize::mib(8);
const FREE_TARGET: ByteSize = ByteSize::kib(512);
/// With the average length they are twice what the arena holds.
const KEYS: u64 = 100;
pub(super) const LEN_MAX: u64 = 400 << 10;
pub(super) const TTL: Duration = Duration::from_secs(30);
pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const BUCKET: &str = "b";
pub(super) const CALLER: Caller = Caller::DAEMON;

/// How often what came up.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen {
    pub(super) sealed: u64,
    pub(super) committed: u64,
    pub(super) committed_late: u64,
    pub(super) spares_kept: u64,
    pub(super) refused: u64,
    pub(super) died: u64,
    pub(super) leased: u64,
    pub(super) read_in_time: u64,
    pub(super) read_across_a_restart: u64,
    pub(super) streamed: u64,
    pub(super) removed: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) restarts: u64,
    pub(super) restored: u64,
    pub(super) late_writes: u64,
    pub(super) flipped: u64,
    pub(super) damage_found: u64,
    pub(super) damage_refused: u64,
    pub(super) evicted_ahead: u64,
    pub(super) copied_elsewhere: u64,
    pub(super) spared: u64,
    pub(super) died_in_drain: u64,
    pub(super) changes_lost: u64,
    pub(super) peeked: u64,
    pub(super) peeked_too_late: u64,
    pub(super) leased_only: u64,
}

impl Seen {
    pub(super) fn assert_everything_happened(&self) {
        let text = format!("{self:?}");
        assert!(!text.contains(": 0,") && !text.contains(": 0 }"), "{text}");
    }
}

/// An object that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) version: u64,
}

pub(super) struct World {
    pub(super) draws: Draws,
    pub(super) dir: TempDir,
    /// `None` while no daemon runs.
    pub(super) daemon: Option<Arc<Shared>>,
    pub(super) segment: File,
    pub(super) epoch: u64,
    pub(super) version: u64,
    pub(super) stored: BTreeMap<String, Stored>,
    /// Versions with a flipped bit.
    pub(super) flipped: BTreeSet<u64>,
    pub(super) uploads: Vec<Upload>,
    pub(super) fills: Vec<Fill>,
    pub(super) readers: Vec<Reader>,
    pub(super) peekers: Vec<Peeker>,
    /// Mappings of clients, maybe of an earlier daemon.
    pub(super) views: Arc<Views>,
    /// Victims, each with its key and a copy of its bytes that is to go elsewhere.
    pub(super) copies: Vec<(Victim, String, Vec<u8>)>,
    /// Evictions of this incarnation that `stored` knows of.
    pub(super) evictions: u64,
    /// Leases of this incarnation that `seen` knows to have expired.
    pub(super) expired: u64,
    pub(super) seen: Seen,
    /// Objects that were sealed since the drain stopped.
    pub(super) undrained: BTreeMap<String, u64>,
}

impl World {
    pub(super) fn new(draws: Draws) -> Self {
        virtual_clock::start(Timestamp::from_nanos(1_000_000_000));
        let dir = TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap();
        let shared = open(&dir, 0, EvictionKind::Lru);
        let views = Views::of(&shared, 0);
        let segment = dir.path().join("segment");
        let segment = File::options().read(true).write(true).open(segment).unwrap();
        Self {
            draws,
            dir,
            daemon: Some(shared),
            segment,
            epoch: 0,
            version: 0,
            stored: BTreeMap::new(),
            flipped: BTreeSet::new(),
            uploads: Vec::new(),
            fills: Vec::new(),
            readers: Vec::new(),
            peekers: Vec::new(),
            views,
            copies: Vec::new(),
            undrained: BTreeMap::new(),
            evictions: 0,
            expired: 0,
            seen: Seen::default(),
        }
    }

    pub(super) fn step(&mut self) {
        match self.draws.below(100) {
            0..10 => self.begin_upload(),
            10..28 => self.go_on_with_upload(),
            28..36 => self.begin_fill(),
            36..50 => self.go_on_with_fill(),
            50..58 => self.lease(),
            58..66 => self.go_on_reading(),
            66..70 => self.peek(),
            70..76 => self.go_on_peeking(),
            76..79 => self.renew(),
            79..82 => self.stream(),
            82..84 => self.remove(),
            84..86 => self.expire(),
            86..88 => self.give_up(),
            88..97 => self.pass_time(),
            97 if self.draws.one_in(2) => self.flip(),
            97 => self.evict_ahead(),
            98 if self.draws.one_in(2) => self.scrub(),
            98 => self.copy_victims(),
            _ if self.draws.one_in(3) => self.die_in_drain(),
            _ => self.restart(),
        }
        self.forget_evicted();
        if self.draws.one_in(100) {
            self.daemon().state().catalog.check();
        }
    }

    pub(super) fn finish(mut self) -> Seen {
        self.restart();
        self.scrub();
        let found = self.listed();
        for key in self.stored.keys() {
            assert!(found.contains_key(key), "{key} is lost");
        }
        self.seen
    }

    pub(super) fn daemon(&self) -> &Arc<Shared> {
        self.daemon.as_ref().expect("the daemon runs between two steps")
    }

    pub(super) fn key(&mut self) -> String {
        format!("key {}", self.draws.below(KEYS))
    }

    fn remove(&mut self) {
        let key = self.key();
        let removed = self.daemon().state().catalog.remove(BUCKET, &key);
        let there = removed.is_ok();
        assert_eq!(there, self.stored.remove(&key).is_some(), "{key}: {removed:?}");
        self.seen.removed += u64::from(there);
    }

    fn expire(&mut self) {
        reap(self.daemon());
        let (until, reservations) = (now(), self.fills.iter_mut());
        // What the daemon does with reservations whose clients are still there.
        for fill in reservations.filter(|fill| fill.until <= until) {
            fill.reservation = None;
        }
        let totals = self.daemon().state().catalog.stats(now()).totals;
        self.seen.expired += totals.expired_unreleased - self.expired;
        self.expired = totals.expired_unreleased;
    }

    fn pass_time(&mut self) {
        let leap = if self.draws.one_in(50) { 600_000 } else { 500 };
        virtual_clock::pass(Duration::from_millis(self.draws.below(leap)));
        if leap == 600_000 {
            self.expire();
        }
    }

    /// Flips a bit, as any process that may write to the segment could.
    fn flip(&mut self) {
        let key = self.key();
        let Some(stored) = self.stored.get(&key) else { return };
        let object = self.daemon().state().catalog.stat(BUCKET, &key).unwrap();
        let Some(at) = place(&object.extents, self.draws.below(object.len.bytes().max(1))) else {
            return;
        };
        let mut byte = [0];
        self.segment.read_exact_at(&mut byte, at.bytes()).unwrap();
        byte[0] ^= 1 << self.draws.below(8);
        // Flipping a bit back makes the object whole again: one flip each.
        if self.flipped.insert(stored.version) {
            self.segment.write_all_at(&byte, at.bytes()).unwrap();
            self.seen.flipped += 1;
        }
    }

    /// One round of the scrubber: no corrupt object is left.
    fn scrub(&mut self) {
        let mut from = Some(0);
        while let Some(slot) = from {
            let (candidate, next) = self.daemon().state().catalog.next_scrub_candidate(slot, false);
            from = next;
            let Some(candidate) = candidate else { continue };
            let intact = self.daemon().inspect(&candidate, |_| true).unwrap();
            let (slot, generation) = (candidate.slot, candidate.generation);
            self.daemon().record_verification(slot, generation, intact, "by the scrubber");
        }
        let before = self.stored.len();
        self.stored.retain(|_, stored| !self.flipped.contains(&stored.version));
        self.seen.damage_found += (before - self.stored.len()) as u64;
        assert_eq!(self.listed().len(), self.stored.len(), "corrupt objects are gone");
    }

    /// The daemon is killed, with everything that it was in the middle of, and started again.
    fn restart(&mut self) {
        let before = self.listed();
        self.kill_and_start();
        let after = self.listed();
        assert_eq!(before, after, "what was sealed is there, and nothing else");
        self.seen.restored += after.len() as u64;
    }

    pub(super) fn kill_and_start(&mut self) {
        self.seen.died += self.uploads.len() as u64;
        self.copies.clear();
        self.undrained.clear();
        self.uploads.clear();
        for fill in &mut self.fills {
            fill.reservation = None;
        }
        self.epoch += 1;
        let ended = self.daemon.take().and_then(Arc::into_inner);
        // The segment's lock goes with it.
        drop(ended.expect("nothing of a daemon that was killed is held"));
        self.daemon = Some(open(&self.dir, self.epoch, EvictionKind::Lru));
        (self.evictions, self.expired) = (0, 0);
        self.seen.restarts += 1;
    }

    /// Every visible object: its length, its checksum and where it is.
    pub(super) fn listed(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut cursor = Some(ListCursor::default());
        while let Some(at) = cursor {
            let (page, next) = self.daemon().state().catalog.list(BUCKET, "", at, 1_000);
            for object in page {
                let shown = format!("{} {} {:?}", object.len, object.checksum, object.extents);
                found.insert(object.key.to_string(), shown);
            }
            cursor = next;
        }
        for key in self.stored.keys() {
            assert!(found.contains_key(key), "{key} is lost");
        }
        assert_eq!(found.len(), self.stored.len(), "what is there was stored");
        found
    }

    /// Forgets objects that are gone without having been removed: they were evicted.
    pub(super) fn forget_evicted(&mut self) {
        let daemon = Arc::clone(self.daemon());
        let state = daemon.state();
        let evicted = state.catalog.stats(now()).totals.evicted;
        if evicted == self.evictions {
            return;
        }
        let before = self.stored.len();
        self.stored.retain(|key, _| state.catalog.stat(BUCKET, key).is_some());
        let gone = (before - self.stored.len()) as u64;
        assert!(gone <= evicted - self.evictions, "more is gone than was evicted");
        self.seen.evicted += gone;
        self.evictions = evicted;
    }
}

pub(super) fn names(key: &str) -> (BucketName, Key) {
    (BucketName::new(BUCKET).unwrap(), Key::new(key).unwrap())
}

/// The daemon without its threads.
fn open(dir: &TempDir, epoch: u64, eviction: EvictionKind) -> Arc<Shared> {
    let options = SegmentOptions {
        dir: dir.path().to_owned(),
        clock: now,
        ..SegmentOptions::new("segment".parse().unwrap(), CAPACITY, TTL + GRACE)
    };
    let catalog = CatalogConfig {
        capacity: CAPACITY,
        lease_grace: GRACE,
        eviction,
        free_target: FREE_TARGET,
        ..CatalogConfig::default()
    };
    let key = FingerprintKey::new([7; FingerprintKey::LEN]);
    let config = EngineConfig { reservation_ttl: TTL, ..EngineConfig::new(catalog, TTL, key) };
    let arena = Arena::open(&options).unwrap();
    let (shared, recovery, _) = Shared::open(arena, config, Epoch::new(epoch)).unwrap();
    let expected = if epoch == 0 { ManifestOrigin::Created } else { ManifestOrigin::Kept };
    assert_eq!((recovery.origin, recovery.dropped()), (expected, 0));
    while !shared.arena.populate_next().unwrap().is_complete() {}
    shared.state().catalog.grow(shared.arena.populated());
    shared
}
