//! Cost of the engine's requests, by the number of keys in a batch: `cargo bench -p
//! kvlease-engine --bench requests`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_cache::CatalogConfig;
use kvlease_engine::{CAPTURE_FILE_LEN_DEFAULT, CaptureConfig, Engine, EngineConfig};
use kvlease_sys::FingerprintKey;
use kvlease_testing::median;
use kvlease_types::{BucketName, ByteSize, Caller, Epoch, Key, LeaseId, Mode};
use tempfile::TempDir;

const CALLER: Caller = Caller::DAEMON;
const CAPACITY: ByteSize = ByteSize::mib(64);
const TTL: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);
const OBJECTS: usize = 4_096;
/// Parts of a measurement, each with a time of its own; the median is shown.
const SLICES: usize = 31;
/// Keys of one slice.
const KEYS: usize = 65_536;

fn main() {
    let keys: Vec<_> = (0..OBJECTS).map(|number| format!("org/model@1@0@{number:x}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    println!("{OBJECTS} objects; ns a key, medians of {SLICES}");
    println!("{:>8} {:>6} {:>16} {:>16}", "capture", "keys", "acquire+release", "exists");
    for has_capture in [false, true] {
        let word = if has_capture { "yes" } else { "no" };
        measure_engine(word, &keys, has_capture);
    }
}

/// Measures an engine with a capture, or without.
fn measure_engine(word: &str, keys: &[&str], has_capture: bool) {
    let dir = TempDir::with_prefix_in("kvlease-bench-", "/dev/shm").expect("/dev/shm is writable");
    let engine = engine(&dir, has_capture);
    for key in keys {
        let bucket = BucketName::new("b").expect("it is short");
        let key = Key::new(*key).expect("it is short");
        let put = engine.put(&CALLER, bucket, key, Some(ByteSize::ZERO)).expect("there is room");
        put.seal().expect("it is as long as announced");
    }
    for batch in [1, 128, 1_024] {
        let pair = measure(keys, batch, |keys| acquire_and_release(&engine, keys));
        let exists = measure(keys, batch, |keys| {
            black_box(engine.exists(&CALLER, "b", keys, Mode::Each));
        });
        println!("{word:>8} {batch:>6} {pair:>16.1} {exists:>16.1}");
    }
    let counters = engine.stats().counters;
    if has_capture {
        println!(
            "{} calls written, {} dropped",
            counters.capture_calls, counters.capture_calls_dropped
        );
    }
}

fn acquire_and_release(engine: &Engine, keys: &[&str]) {
    let grants = engine.acquire(&CALLER, "b", keys, Mode::Each, None);
    let ids: Vec<LeaseId> = grants.outcomes().iter().flatten().map(|lease| lease.id).collect();
    grants.deliver();
    assert_eq!(engine.release(&CALLER, &ids).len(), keys.len());
}

fn measure(keys: &[&str], batch: usize, mut call: impl FnMut(&[&str])) -> f64 {
    let slices = (0..SLICES).map(|_| {
        let started = Instant::now();
        let batches = keys.chunks_exact(batch).cycle().take(KEYS / batch);
        batches.for_each(&mut call);
        started.elapsed().as_nanos() as f64 / KEYS as f64
    });
    median(slices)
}

fn engine(dir: &TempDir, has_capture: bool) -> Engine {
    let name = "segment".parse().expect("it is a name");
    let options = SegmentOptions {
        dir: dir.path().to_owned(),
        ..SegmentOptions::new(name, CAPACITY, TTL + GRACE)
    };
    let catalog = CatalogConfig { capacity: CAPACITY, ..CatalogConfig::default() };
    let key = FingerprintKey::new([7; FingerprintKey::LEN]);
    let capture = has_capture.then(|| CaptureConfig {
        path: dir.path().join("capture"),
        file_len_max: CAPTURE_FILE_LEN_DEFAULT,
        files_max: 2,
        secret: key,
        id: 1,
    });
    let config = EngineConfig { cold: true, capture, ..EngineConfig::new(catalog, TTL, key) };
    let arena = Arena::open(&options).expect("there is room in /dev/shm");
    Engine::start(arena, config, Epoch::new(1)).expect("the arena can be populated")
}
