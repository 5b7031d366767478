//! What recording objects costs, and how long it takes to take them over again.
//!
//! `cargo bench -p kvlease-engine`. Two catalogs are measured in turns, of which one is recorded as
//! the daemon's is, so that the ratio of their medians is that of one run.

use std::{hint::black_box, time::Duration};

use kvlease_arena::{Arena, Manifest, SegmentOptions};
use kvlease_cache::{Catalog, CatalogConfig, EvictionKind, Restoration, SlotWatch, UNIT};
use kvlease_testing::median;
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, SealedObject, Timestamp};
use tempfile::TempDir;

const OBJECTS: u64 = 100_000;
/// Parts of a measurement, in turns.
const SLICES: u64 = 40;
const SLICE: u64 = 20_000;
const OBJECT_UNITS: u64 = 1;
const MEMORY_MAX: ByteSize = ByteSize::gib(1);
const TTL: Duration = Duration::from_secs(30);
/// How many objects are taken over.
const TAKEN_OVER: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Records what the catalog tells, as the daemon does.
#[derive(Debug)]
struct Recorder(Manifest);

impl SlotWatch for Recorder {
    fn sealed(&mut self, slot: u32, object: &SealedObject<'_>) {
        assert!(self.0.insert(slot, object), "there is memory");
    }

    fn concealed(&mut self, slot: u32) {
        self.0.delete(slot);
    }

    fn freed(&mut self, _: u32) {}
}

fn main() {
    let dir = TempDir::new_in("/dev/shm").expect("a tmpfs to measure on");
    let (mut plain, mut recorded) = (catalog(OBJECTS), catalog(OBJECTS));
    let arena = arena(&dir, "bench");
    recorded.watch_slots(Box::new(Recorder(record(&arena))));
    for number in 0..OBJECTS {
        store(&mut plain, number);
        store(&mut recorded, number);
    }
    println!("{OBJECTS} objects of a full arena, medians of {SLICES} turns, ns a call");
    println!("{:<22} {:>8} {:>9} {:>7}", "", "alone", "recorded", "ratio");
    let keys: Vec<_> = (0..OBJECTS).map(key).collect();
    let mut round = 0_usize;
    compare("acquire+release", &mut plain, &mut recorded, |catalog| {
        // A scattered order, so that the figure includes the misses of a real table.
        round = (round + 61_803) % keys.len();
        acquire_and_release(catalog, &keys[round]);
    });
    let mut next = OBJECTS;
    compare("evict+reserve+seal", &mut plain, &mut recorded, |catalog| {
        next += 1;
        store(catalog, next);
    });
    drop((plain, recorded, arena));
    println!("\n{:<10} {:>12} {:>12} {:>12}", "objects", "read ms", "restore ms", "us/object");
    for objects in TAKEN_OVER {
        take_over(&dir, objects);
    }
}

/// Fills an arena's record and takes it over, as a restarted daemon does.
fn take_over(dir: &TempDir, objects: u64) {
    let name = format!("bench{objects}");
    let before = arena(dir, &name);
    let mut catalog = catalog(objects);
    catalog.watch_slots(Box::new(Recorder(record(&before))));
    (0..objects).for_each(|number| store(&mut catalog, number));
    before.publish_manifest().expect("the record can be named");
    drop((catalog, before));

    let arena = arena(dir, &name);
    let started = std::time::Instant::now();
    let recorded = arena.stored_manifest().expect("the record can be read");
    let mut restoration = Restoration::default();
    let horizon = arena.lease_fence();
    recorded.for_each(|object| restoration.add(object, horizon.leased_until(object.extents)));
    let read = started.elapsed();
    let mut catalog = empty(objects);
    catalog.watch_slots(Box::new(Recorder(record(&arena))));
    let restored = catalog.restore(restoration, capacity(objects), Timestamp::default());
    let whole = started.elapsed();
    assert_eq!(restored.objects, objects);
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    let each = ms(whole) * 1e3 / objects as f64;
    println!("{objects:<10} {:>12.1} {:>12.1} {each:>12.2}", ms(read), ms(whole - read));
}

/// Measures the same call on both catalogs, in turns.
fn compare(
    name: &str,
    plain: &mut Catalog,
    recorded: &mut Catalog,
    mut call: impl FnMut(&mut Catalog),
) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..SLICES {
        for (times, catalog) in times.iter_mut().zip([&mut *plain, &mut *recorded]) {
            times.push(nanos_each(|| call(catalog)));
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

/// An arena as far as a record needs one: nothing of it is populated.
fn arena(dir: &TempDir, name: &str) -> Arena {
    let name = name.parse().expect("the name is valid");
    let options = SegmentOptions {
        dir: dir.path().to_owned(),
        ..SegmentOptions::new(name, ByteSize::mib(4), TTL)
    };
    Arena::open(&options).expect("the arena can be made")
}

fn record(arena: &Arena) -> Manifest {
    arena.new_manifest(MEMORY_MAX).expect("there is memory for the record")
}

fn capacity(objects: u64) -> ByteSize {
    ByteSize::new(objects * OBJECT_UNITS * UNIT.bytes())
}

fn empty(objects: u64) -> Catalog {
    let config = CatalogConfig {
        capacity: capacity(objects),
        memory_max: MEMORY_MAX,
        eviction: EvictionKind::Lru,
        ..CatalogConfig::default()
    };
    Catalog::new(config, Epoch::new(1))
}

fn catalog(objects: u64) -> Catalog {
    let mut catalog = empty(objects);
    catalog.grow(capacity(objects));
    catalog
}

fn store(catalog: &mut Catalog, number: u64) {
    let now = Timestamp::default();
    let bucket = BucketName::new("lmcache").expect("the name is short");
    let len = ByteSize::new(OBJECT_UNITS * UNIT.bytes());
    let write = catalog.reserve(bucket, key(number), len, now).expect("there is unleased space");
    catalog.seal(write.id, len, Checksum::new(number), now).expect("the write is in progress");
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
