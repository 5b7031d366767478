//! How long a change of the eviction policy holds the catalog: its parts, and all of it.
//!
//! `cargo bench -p kvlease-cache --bench policy_change`.

#[expect(dead_code, reason = "the benches share it")]
mod fixture;

use kvlease_cache::{EvictionKind, HAND_OVER_BATCH, Successor};

use fixture::{OBJECTS, filled};

fn main() {
    println!("{OBJECTS} objects, parts of {HAND_OVER_BATCH}; times in microseconds");
    println!(
        "{:<12} {:<12} {:>8} {:>10} {:>10} {:>10}",
        "from", "to", "begin", "median", "longest", "all"
    );
    for from in EvictionKind::ALL {
        for to in EvictionKind::ALL.into_iter().filter(|to| *to != from) {
            change(from, to);
        }
    }
}

fn change(from: EvictionKind, to: EvictionKind) {
    let mut catalog = filled(from);
    let successor = Successor::new(to, catalog.slots());
    let begin = time(|| catalog.change_eviction(successor).is_ok());
    let mut parts = Vec::new();
    let mut former = None;
    while former.is_none() {
        parts.push(time(|| former = catalog.hand_over(HAND_OVER_BATCH)));
    }
    catalog.check();
    parts.sort_by(f64::total_cmp);
    let (median, longest) = (parts[parts.len() / 2], parts[parts.len() - 1]);
    let all: f64 = parts.iter().sum();
    let (from, to) = (from.name(), to.name());
    println!("{from:<12} {to:<12} {begin:>8.0} {median:>10.0} {longest:>10.0} {all:>10.0}");
}

/// Microseconds that something takes.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark measures time"
)]
fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let start = std::time::Instant::now();
    std::hint::black_box(run());
    start.elapsed().as_nanos() as f64 / 1_000.0
}
