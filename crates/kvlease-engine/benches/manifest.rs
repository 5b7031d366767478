//! Cost of the manifest, and how long it takes to take them over again.
//!
//! `cargo bench -p kvlease-engine`. Two catalogs are measured in turns, of which one has a manifest as
//! the daemon's is, so that the ratio of their medians is that of one run.

use std::{hint::black_box, time::Duration};

use kvlease_arena::{Arena, Manifest, SegmentOptions};
use kvlease_cache::{Catalog, CatalogConfig, Change, EvictionKind, Restoration, UNIT};
use kvlease_testing::median;
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, Timestamp};
use tempfile::TempDir;

const OBJECTS: u64 = 100_000;
/// Parts of a measurement, in turns.
const SLICES: u64 = 40;
const SLICE: u64 = 20_000;
const OBJECT_UNITS: u64 = 1;
const MEMORY_MAX: ByteSize = ByteSize::gib(1);
const TTL: Duration = Duration::from_secs(30);
/// Victims that are chosen at once, at most.
const VICTIMS: usize = 64;
/// How many objects are taken over.
const TAKEN_OVER: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// A catalog whose change log is drained as the daemon does it: into a manifest, or into nothing.
struct Cache {
    catalog: Catalog,
    manifest: Option<Manifest>,
    batch: Vec<Change>,
}

impl Cache {
    fn new(catalog: Catalog, manifest: Option<Manifest>) -> Self {
        Self { catalog, manifest, batch: Vec::new() }
    }

    fn drain(&mut self) {
        self.catalog.take_changes(&mut self.batch);
        if let Some(manifest) = &mut self.manifest {
            self.batch.iter().for_each(|change| apply(manifest, change));
        }
        self.batch.clear();
        self.catalog.acknowledge(self.catalog.last_change());
    }

    fn store(&mut self, number: u64) {
        let now = Timestamp::default();
        let (bucket, key) = (BucketName::new("lmcache").expect("the name is short"), key(number));
        let len = ByteSize::new(OBJECT_UNITS * UNIT.bytes());
        if self.catalog.is_short_of_room() {
            for victim in self.catalog.victims(VICTIMS) {
                self.catalog.give_up(&victim, false);
            }
            self.drain();
        }
        let room = self.catalog.reserve(&bucket, &key, len, now).expect("there is unleased space");
        let write = room.given().expect("the free target is kept");
        let sealed = self.catalog.seal(write.id, len, Checksum::new(number), now);
        sealed.expect("the write is in progress");
        self.drain();
    }
}

fn apply(manifest: &mut Manifest, change: &Change) {
    if change.kind.publishes() {
        assert!(manifest.insert(change.slot, &change.object()), "there is memory");
    } else if change.kind.unpublishes() {
        manifest.delete(change.slot);
    }
}

fn main() {
    let dir = TempDir::new_in("/dev/shm").expect("a tmpfs to measure on");
    let arena = arena(&dir, "bench");
    let mut plain = Cache::new(catalog(OBJECTS), None);
    let mut recorded = Cache::new(catalog(OBJECTS), Some(manifest(&arena)));
    for number in 0..OBJECTS {
        plain.store(number);
        recorded.store(number);
    }
    println!("{OBJECTS} objects of a full arena, medians of {SLICES} turns, ns a call");
    println!("{:<22} {:>8} {:>9} {:>7}", "", "alone", "manifest", "ratio");
    let keys: Vec<_> = (0..OBJECTS).map(key).collect();
    let mut round = 0_usize;
    compare("acquire+release", &mut plain, &mut recorded, |cache| {
        // A scattered order, so that the figure includes the misses of a real table.
        round = (round + 61_803) % keys.len();
        acquire_and_release(&mut cache.catalog, &keys[round]);
    });
    let mut next = OBJECTS;
    compare("evict+reserve+seal", &mut plain, &mut recorded, |cache| {
        next += 1;
        cache.store(next);
    });
    drop((plain, recorded, arena));
    println!("\n{:<10} {:>12} {:>12} {:>12}", "objects", "read ms", "restore ms", "us/object");
    for objects in TAKEN_OVER {
        take_over(&dir, objects);
    }
}

/// Fills an arena's manifest and takes it over, as a restarted daemon does.
fn take_over(dir: &TempDir, objects: u64) {
    let name = format!("bench{objects}");
    let before = arena(dir, &name);
    let mut cache = Cache::new(catalog(objects), Some(manifest(&before)));
    (0..objects).for_each(|number| cache.store(number));
    before.publish_manifest().expect("the manifest can be named");
    drop((cache, before));

    let arena = arena(dir, &name);
    let started = std::time::Instant::now();
    let recorded = arena.stored_manifest().expect("the manifest can be read");
    let mut restoration = Restoration::default();
    let fence = arena.lease_fence();
    recorded.for_each(|object| restoration.add(object, fence.leased_until(object.extents)));
    let read = started.elapsed();
    let (mut catalog, mut manifest) = (empty(objects), manifest(&arena));
    let (size, now) = (capacity(objects), Timestamp::default());
    let restored = catalog.restore(restoration, size, now, |change| apply(&mut manifest, change));
    let whole = started.elapsed();
    assert_eq!(restored.objects, objects);
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    let each = ms(whole) * 1e3 / objects as f64;
    println!("{objects:<10} {:>12.1} {:>12.1} {each:>12.2}", ms(read), ms(whole - read));
}

/// Measures the same call on both catalogs, in turns.
fn compare(name: &str, plain: &mut Cache, recorded: &mut Cache, mut call: impl FnMut(&mut Cache)) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..SLICES {
        for (times, cache) in times.iter_mut().zip([&mut *plain, &mut *recorded]) {
            times.push(nanos_each(|| call(cache)));
        }
    }
    let [alone, recorded] = times.map(median);
    println!("{name:<22} {alone:>8.0} {recorded:>9.0} {:>7.2}", recorded / alone);
}

fn nanos_each(mut call: impl FnMut()) -> f64 {
    let started = std::time::Instant::now();
    (0..SLICE).for_each(|_| call());
    started.elapsed().as_nanos() as f64 / SLICE as f64
}

/// An arena as far as a manifest needs one: nothing of it is populated.
fn arena(dir: &TempDir, name: &str) -> Arena {
    let name = name.parse().expect("the name is valid");
    let options = SegmentOptions {
        dir: dir.path().to_owned(),
        ..SegmentOptions::new(name, ByteSize::mib(4), TTL)
    };
    Arena::open(&options).expect("the arena can be made")
}

fn manifest(arena: &Arena) -> Manifest {
    arena.new_manifest(MEMORY_MAX).expect("there is memory for the manifest")
}

/// Room for the objects and the free target.
fn capacity(objects: u64) -> ByteSize {
    let size = objects * OBJECT_UNITS * UNIT.bytes();
    ByteSize::new(size + free_target(objects).bytes())
}

fn free_target(objects: u64) -> ByteSize {
    ByteSize::new(objects * OBJECT_UNITS * UNIT.bytes() / 128)
}

fn empty(objects: u64) -> Catalog {
    let config = CatalogConfig {
        capacity: capacity(objects),
        memory_max: MEMORY_MAX,
        eviction: EvictionKind::Lru,
        free_target: free_target(objects),
        ..CatalogConfig::default()
    };
    Catalog::new(config, Epoch::new(1))
}

fn catalog(objects: u64) -> Catalog {
    let mut catalog = empty(objects);
    catalog.grow(capacity(objects));
    catalog
}

fn acquire_and_release(catalog: &mut Catalog, key: &Key) {
    let now = Timestamp::default();
    let Ok(lease) = catalog.acquire(&Caller::DAEMON, "lmcache", key.as_str(), TTL, now) else {
        panic!("the object is there")
    };
    black_box(catalog.release(&Caller::DAEMON, black_box(lease).id, now));
}

/// A key of the length that LMCache uses.
fn key(number: u64) -> Key {
    let text = format!("meta-llama/Llama-3.1-70B-Instruct@8@0@{number:064x}@bfloat16");
    Key::new(text).expect("the key is short")
}
