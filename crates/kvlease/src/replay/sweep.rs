//! All simulations of a trace.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

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
    let found = on_all_processors(&cells, |(kind, at)| match kinds[*kind] {
        Some(eviction) => hits(trace, eviction, capacities[*at]),
        None => optimum::hits(trace, &next_uses, capacities[*at]),
    });
    let mut rows: Vec<Row> = kinds
        .iter()
        .map(|kind| Row {
            policy: kind.map_or(OPTIMUM, EvictionKind::name),
            hits: vec![0; capacities.len()],
        })
        .collect();
    for ((kind, at), hits) in cells.into_iter().zip(found) {
        rows[kind].hits[at] = hits;
    }
    rows
}

/// Does the same with each cell on all processors, with a bar. Returns what came of each, in their order.
pub(super) fn on_all_processors<C: Sync, R: Send>(
    cells: &[C],
    each: impl Fn(&C) -> R + Sync,
) -> Vec<R> {
    let progress = progress::steps(cells.len());
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(cells.len())));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Relaxed);
                    let Some(cell) = cells.get(place) else { return };
                    let result = each(cell);
                    done.lock().expect("no simulation panics").push((place, result));
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    let mut done = done.into_inner().expect("no simulation panics");
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Prefix hits of a policy.
pub(super) fn hits(trace: &Trace, eviction: EvictionKind, capacity: u32) -> u64 {
    let mut cache = CacheSimulation::new(eviction, capacity);
    let mut hits = 0;
    for blocks in trace.requests() {
        let names = blocks.iter().map(|block| u64::from(*block));
        hits += names.clone().take_while(|name| cache.has(*name)).count() as u64;
        names.for_each(|name| cache.ask(name));
    }
    hits
}
