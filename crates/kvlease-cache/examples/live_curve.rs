//! The live curve of a trace of requests, next to replays of the same references.
//!
//! `cargo run --release -p kvlease-cache --example live_curve -- FILE...`. A trace has Mooncake's format, as for
//! `kvlease replay`. A catalog with room for 1, 5, 10 and 20 % of the distinct blocks serves it, and the curve
//! follows. Each block is a lease, or else a store.

use std::{collections::BTreeSet, time::Duration};

use kvlease_cache::{
    CacheSimulation, Catalog, CatalogConfig, CurveConfig, EvictionKind, LiveCurve, References,
    Room, UNIT,
};
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, Timestamp};

/// Capacities, in per cent of the distinct blocks.
const CAPACITIES: [usize; 4] = [1, 5, 10, 20];

/// Blocks between two looks of the curve at the references.
const BATCH: usize = 1_000;

/// A request: its time in milliseconds, and its blocks.
type Request = (u64, Vec<u64>);

#[expect(clippy::disallowed_methods, reason = "an example reads its arguments and files")]
fn main() {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).expect("the trace can be read");
        let trace: Vec<Request> = text.lines().filter_map(request).collect();
        let blocks = trace.iter().flat_map(|(_, blocks)| blocks);
        let distinct = blocks.clone().collect::<BTreeSet<_>>().len();
        println!("{path}: {} blocks, {distinct} distinct", blocks.count());
        for memory in [16, 32].map(ByteSize::mib) {
            for percent in CAPACITIES {
                compare(&trace, (distinct * percent / 100) as u32, memory);
            }
        }
    }
}

/// Reads a line of a trace.
fn request(line: &str) -> Option<Request> {
    let field = |name: &str| Some(line.split_once(name)?.1.trim_start_matches([':', ' ', '[']));
    let time = field("\"timestamp\"")?.split([',', '}']).next()?.trim().parse().ok()?;
    let blocks = field("\"hash_ids\"")?.split(']').next()?;
    let blocks = blocks.split(',').map(|block| block.trim().parse()).collect::<Result<_, _>>();
    Some((time, blocks.ok()?))
}

/// Prints how far the curve is from replays, in points.
fn compare(trace: &[Request], capacity: u32, memory_max: ByteSize) {
    let half_life = Duration::from_secs(1 << 40);
    let curve =
        followed(trace, capacity, &CurveConfig { half_life, ..CurveConfig::new(memory_max) });
    let stats = curve.stats();
    print!("{memory_max} {capacity:>7} blocks, {:.4} sampled:", stats.sample_rate);
    let mut largest = 0.0;
    for kind in EvictionKind::ALL {
        print!("  {kind}");
        for point in stats.points.iter().filter(|point| point.policy == kind) {
            let units = (f64::from(capacity) * point.times) as u32;
            let replayed = replayed(trace, kind, units);
            let difference = (point.hit_ratio - replayed) * 100.0;
            print!(" {:.1}{difference:+.1}", replayed * 100.0);
            largest = f64::max(largest, difference.abs());
        }
    }
    println!("; largest {largest:.2}");
}

fn followed(trace: &[Request], capacity: u32, config: &CurveConfig) -> LiveCurve {
    let capacity = ByteSize::new(u64::from(capacity) * UNIT.bytes());
    let seed = 42;
    let catalog = CatalogConfig {
        capacity,
        memory_max: ByteSize::gib(1),
        hash_seed: seed,
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(catalog, Epoch::new(1));
    catalog.grow(capacity);
    let mut curve = LiveCurve::new(config);
    catalog.watch_references(curve.hash_max());
    let (mut batch, mut asked) = (References::default(), 0);
    for (time, blocks) in trace {
        let now = Timestamp::from_nanos(time * 1_000_000);
        for block in blocks {
            ask(&mut catalog, &block.to_string(), now);
            asked += 1;
            if asked % BATCH == 0 {
                catalog.take_references(&mut batch);
                curve.observe(&batch, catalog.evictable_capacity(), now);
                catalog.watch_references(curve.hash_max());
            }
        }
    }
    curve
}

fn ask(catalog: &mut Catalog, key: &str, now: Timestamp) {
    let caller = Caller::DAEMON;
    if let Ok(lease) = catalog.acquire(&caller, "b", key, Duration::from_secs(1), now) {
        catalog.release(&caller, lease.id, now);
        return;
    }
    let bucket = BucketName::new("b").expect("the name is short");
    let key = Key::new(key).expect("the key is short");
    let write = loop {
        match catalog.reserve(&bucket, &key, UNIT, now).expect("nothing is leased") {
            Room::Given(reservation) => break reservation.id,
            Room::AfterDrain => catalog.discard_changes(),
        }
    };
    catalog.seal(write, UNIT, Checksum::new(0), now).expect("the write is in progress");
    catalog.discard_changes();
}

/// Hits of objects, by all references.
fn replayed(trace: &[Request], eviction: EvictionKind, capacity: u32) -> f64 {
    let mut cache = CacheSimulation::new(eviction, capacity);
    let (mut hits, mut asked) = (0, 0);
    for block in trace.iter().flat_map(|(_, blocks)| blocks) {
        hits += u64::from(cache.has(*block));
        asked += 1;
        cache.ask(*block);
    }
    hits as f64 / f64::from(asked)
}
