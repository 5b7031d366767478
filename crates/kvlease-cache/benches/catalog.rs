//! Nanoseconds per call of the catalog at 100,000 objects, for each eviction policy.
//!
//! `cargo bench -p kvlease-cache`. Keys are asked for in a scattered order, so that the figures
//! include the cache misses of a real table, and of the key itself.

mod fixture;

use std::hint::black_box;

use kvlease_cache::{Catalog, EvictionKind};
use kvlease_types::{Key, LeaseId, Miss, Timestamp};

use fixture::{
    CALLER, LEASES_HELD, OBJECTS, TTL, acquire_and_release, filled, key, keys, scattered, store,
};

const ROUNDS: u64 = 1_000_000;
/// Parts of a measurement, each with a time of its own.
const SLICES: u64 = 50;

fn main() {
    println!("{OBJECTS} objects, {LEASES_HELD} leases held, {ROUNDS} keys a figure; ns a key");
    println!(
        "{:<8} {:>16} {:>8} {:>20} {:>12} {:>12} {:>12}",
        "policy",
        "acquire+release",
        "miss",
        "evict+reserve+seal",
        "128 warm",
        "1024 warm",
        "1024 cold"
    );
    for eviction in EvictionKind::ALL {
        let mut catalog = filled(eviction);
        let (present, absent) = (keys(0), keys(OBJECTS));
        let pair = measure(|round| acquire_and_release(&mut catalog, &present[scattered(round)]));
        let miss = measure(|round| {
            let name = absent[scattered(round)].as_str();
            let answer = catalog.acquire(&CALLER, "lmcache", name, TTL, Timestamp::default());
            assert_eq!(black_box(answer), Err(Miss::Absent));
        });
        let batches = [(128, true), (1024, true), (1024, false)]
            .map(|(len, warm)| measure_batches(&mut catalog, &present, len, warm));
        // Making the names is part of this one.
        let store = measure(|round| store(&mut catalog, key(2 * OBJECTS + round)));
        let name = eviction.name();
        print!("{name:<8} {pair:>16.0} {miss:>8.0} {store:>20.0}");
        println!(" {:>12.0} {:>12.0} {:>12.0}", batches[0], batches[1], batches[2]);
        let stats = catalog.stats(Timestamp::default());
        let each = stats.memory.bytes() / OBJECTS;
        println!("{:<8} {each} bytes of memory per object", "");
        catalog.check();
    }
}

/// Acquires and releases batches of `len` scattered keys: the same ones again and again if they
/// are warm, others each time if not. As in a frame, the keys of a batch follow each other.
fn measure_batches(catalog: &mut Catalog, present: &[Key], len: u64, warm: bool) -> f64 {
    let rounds = ROUNDS / len;
    let text = |round: u64| -> String {
        let first = if warm { 0 } else { round * len };
        (first..first + len).map(|number| present[scattered(number)].as_str()).collect()
    };
    let texts: Vec<String> = (0..if warm { 1 } else { rounds }).map(text).collect();
    let key_len = present[0].as_str().len();
    let mut ids = Vec::new();
    let total = measure_rounds(rounds, |round| {
        let text = &texts[if warm { 0 } else { round as usize }];
        let names: Vec<&str> =
            (0..len as usize).map(|at| &text[at * key_len..(at + 1) * key_len]).collect();
        acquire_batch(catalog, &names, &mut ids);
        for id in ids.drain(..) {
            black_box(catalog.release(&CALLER, id, Timestamp::default()));
        }
    });
    total / len as f64
}

fn acquire_batch(catalog: &mut Catalog, names: &[&str], ids: &mut Vec<LeaseId>) {
    let leases = catalog.acquire_many(&CALLER, "lmcache", names, TTL, Timestamp::default());
    ids.extend(leases.map(|lease| lease.expect("the object is there").id));
}

fn measure(round: impl FnMut(u64)) -> f64 {
    measure_rounds(ROUNDS, round)
}

/// Nanoseconds per round in the quickest slice: others use the machine as well.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark measures time"
)]
fn measure_rounds(rounds: u64, mut round: impl FnMut(u64)) -> f64 {
    let slice = rounds / SLICES;
    let measure = |first: u64| {
        let start = std::time::Instant::now();
        (first..first + slice).for_each(&mut round);
        start.elapsed().as_nanos() as f64 / slice as f64
    };
    (0..SLICES).map(|number| number * slice).map(measure).fold(f64::INFINITY, f64::min)
}
