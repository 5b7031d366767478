//! Cost of the live curve: nanoseconds per request under the catalog's lock, with and without, those of the
//! thread that follows, and bytes for each object in a simulated cache.
//!
//! `cargo bench -p kvlease-cache --bench curve`. The parts of a measurement take turns among catalogs that are the same
//! otherwise, and the median counts.

mod fixture;

use kvlease_cache::{Catalog, CurveConfig, EvictionKind, LiveCurve, References};
use kvlease_types::{ByteSize, Key, Timestamp};

use fixture::{OBJECTS, acquire_and_release, filled, key, keys, scattered, store};

/// Parts of a measurement, and the requests of each.
const PARTS: u64 = 41;
const REQUESTS: u64 = 5_000;

/// References that the follower's figure rests on.
const FOLLOWED: u64 = 400_000;

fn main() {
    requests();
    println!();
    for memory in [32, 128].map(ByteSize::mib) {
        follow(memory);
    }
}

/// Prints the cost of a request.
fn requests() {
    let present = keys(0);
    let samples = [None, Some(u64::MAX >> 10), Some(u64::MAX >> 4), Some(u64::MAX)];
    let mut catalogs = samples.map(|hash_max| {
        let mut catalog = filled(EvictionKind::HitDensity);
        hash_max.inspect(|hash_max| catalog.watch_references(*hash_max));
        catalog
    });
    println!("{OBJECTS} objects; ns a request under the catalog's lock, medians of {PARTS} parts");
    println!("{:<16} {:>10} {:>10} {:>10} {:>10}", "", "no curve", "1/1024", "1/16", "all");
    let mut batch = References::default();
    let mut read = |catalog: &mut Catalog, first: u64| {
        let name = |number| -> &Key { &present[scattered(number)] };
        (first..first + REQUESTS).for_each(|number| acquire_and_release(catalog, name(number)));
        catalog.take_references(&mut batch);
    };
    report("acquire+release", &mut catalogs, &mut read);
    let mut batch = References::default();
    let mut write = |catalog: &mut Catalog, first: u64| {
        let numbers = first..first + REQUESTS;
        numbers.for_each(|number| store(catalog, key(2 * OBJECTS + number)));
        catalog.take_references(&mut batch);
    };
    report("evict+store", &mut catalogs, &mut write);
}

fn report(name: &str, catalogs: &mut [Catalog], part: &mut impl FnMut(&mut Catalog, u64)) {
    let mut times = vec![Vec::new(); catalogs.len()];
    for number in 0..PARTS {
        for (catalog, times) in catalogs.iter_mut().zip(&mut times) {
            times.push(time(|| part(catalog, number * REQUESTS)) / REQUESTS as f64);
        }
    }
    let cells = times.iter_mut().map(|times| format!(" {:>10.0}", median(times)));
    println!("{name:<16}{}", cells.collect::<String>());
}

/// Prints what the follower takes for a reference to the sample, and for an object.
fn follow(memory_max: ByteSize) {
    let mut catalog = filled(EvictionKind::HitDensity);
    let capacity = catalog.evictable_capacity();
    let present = keys(0);
    let mut curve = LiveCurve::new(&CurveConfig::new(memory_max));
    let empty = curve.stats().memory;
    catalog.watch_references(curve.hash_max());
    let mut batch = References::default();
    let mut times = Vec::new();
    let mut followed = 0;
    while followed < FOLLOWED {
        for _ in 0..REQUESTS {
            acquire_and_release(&mut catalog, &present[scattered(followed)]);
            followed += 1;
        }
        catalog.take_references(&mut batch);
        let before = curve.stats().references;
        times.push(time(|| curve.observe(&batch, capacity, Timestamp::default())));
        let references = curve.stats().references - before;
        if let Some(last) = times.last_mut() {
            *last /= references.max(1.0);
        }
        catalog.watch_references(curve.hash_max());
    }
    let stats = curve.stats();
    let grown = stats.memory.bytes() - empty.bytes();
    println!(
        "{memory_max}: {:.4} of the objects in the sample; {:.0} ns of the follower for each of its references, \
         {:.0} for a request; {} objects in simulated caches, {} bytes for each, {empty} besides",
        stats.sample_rate,
        median(&mut times),
        median(&mut times) * stats.sample_rate,
        stats.tracked,
        grown.checked_div(stats.tracked).unwrap_or(0)
    );
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds that something takes.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark measures time"
)]
fn time(run: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    run();
    start.elapsed().as_nanos() as f64
}
