//! All simulations of a trace.

use std::{sync::Mutex, thread};

use kvlease_cache::{CacheSimulation, EvictionKind};

use super::{optimum, trace::Trace};
use crate::progress;

/// Name of the optimum among the policies.
pub(super) const OPTIMUM: &str = "optimum";

/// Prefix hits of one policy.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) policy: &'static str,
    /// For each capacity.
    pub(super) hits: Vec<u64>,
}

/// Simulates each policy, and the optimum last, with each capacity, on all processors.
pub(super) fn run(trace: &Trace, capacities: &[u32], policies: &[EvictionKind]) -> Vec<Row> {
    let next_uses = optimum::next_uses(trace);
    let kinds: Vec<Option<EvictionKind>> =
        policies.iter().copied().map(Some).chain([None]).collect();
    let cells: Vec<(usize, usize)> =
        (0..kinds.len()).flat_map(|kind| (0..capacities.len()).map(move |at| (kind, at))).collect();
    let progress = progress::steps(cells.len());
    let mut rows: Vec<Row> = kinds
        .iter()
        .map(|kind| Row {
            policy: kind.map_or(OPTIMUM, EvictionKind::name),
            hits: vec![0; capacities.len()],
        })
        .collect();
    let (waiting, done) = (Mutex::new(cells.into_iter()), Mutex::new(&mut rows));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((kind, at)) = next(&waiting) {
                    let hits = match kinds[kind] {
                        Some(eviction) => hits(trace, eviction, capacities[at]),
                        None => optimum::hits(trace, &next_uses, capacities[at]),
                    };
                    done.lock().expect("no simulation panics")[kind].hits[at] = hits;
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    rows
}

fn next<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    waiting.lock().expect("no simulation panics").next()
}

/// Prefix hits of a policy.
fn hits(trace: &Trace, eviction: EvictionKind, capacity: u32) -> u64 {
    let mut cache = CacheSimulation::new(eviction, capacity);
    let mut hits = 0;
    for blocks in trace.requests() {
        let names = blocks.iter().map(|block| u64::from(*block));
        hits += names.clone().take_while(|name| cache.has(*name)).count() as u64;
        names.for_each(|name| cache.ask(name));
    }
    hits
}
