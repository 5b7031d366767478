//! Prefix hits with generated habits of clients: no policy loses much to LRU.

use kvlease_testing::{Draws, trace};

use super::CacheSimulation;
use crate::config::EvictionKind;

/// Requests of a trace.
const REQUESTS: usize = 6_000;

/// Capacities, in parts of the distinct blocks.
const CAPACITIES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// Blocks of prompts, by request.
struct Trace {
    requests: Vec<Vec<u64>>,
    /// The number that the next block gets.
    next: u64,
    draws: Draws,
}

impl Trace {
    fn new(seed: u64) -> Self {
        Self { requests: Vec::new(), next: 0, draws: Draws::new(seed) }
    }

    fn blocks(&mut self, least: u64, most: u64) -> Vec<u64> {
        let first = self.next;
        self.next += least + self.draws.below(most - least + 1);
        (first..self.next).collect()
    }

    /// Conversations that take turns: each begins with one of these prompts, and grows until it ends.
    fn converse(&mut self, requests: usize, at_once: usize, prompts: &[Vec<u64>], percent: u64) {
        let mut open: Vec<Vec<u64>> = Vec::new();
        for _ in 0..requests {
            if open.len() < at_once {
                let mut begun = self.draws.pick(prompts).cloned().unwrap_or_default();
                begun.extend(self.blocks(1, 30));
                self.requests.push(begun.clone());
                open.push(begun);
                continue;
            }
            let one = self.draws.index(open.len());
            let turn = self.blocks(1, 8);
            open[one].extend(turn);
            self.requests.push(open[one].clone());
            if self.draws.percent(percent) {
                open.swap_remove(one);
            }
        }
    }

    /// Documents that no client asks for again.
    fn pass(&mut self, documents: usize, least: u64, most: u64) {
        for _ in 0..documents {
            let document = self.blocks(least, most);
            self.requests.push(document);
        }
    }

    fn prompts(&mut self, count: usize, least: u64, most: u64) -> Vec<Vec<u64>> {
        (0..count).map(|_| self.blocks(least, most)).collect()
    }
}

/// Agents with long prompts that their conversations share.
fn agents(seed: u64) -> Trace {
    let mut trace = Trace::new(seed);
    let prompts = trace.prompts(20, 40, 200);
    trace.converse(REQUESTS, 40, &prompts, 15);
    trace
}

/// Conversations, and each now and then a scan of a batch.
fn scans(seed: u64) -> Trace {
    let mut trace = Trace::new(seed);
    let prompts = trace.prompts(5, 4, 12);
    for _ in 0..10 {
        trace.converse(REQUESTS / 20, 30, &prompts, 20);
        trace.pass(REQUESTS / 20, 4, 30);
    }
    trace
}

/// Conversations, with a burst of long documents in their midst.
fn burst(seed: u64) -> Trace {
    let mut trace = Trace::new(seed);
    let prompts = trace.prompts(3, 1, 4);
    trace.converse(REQUESTS / 2, 60, &prompts, 12);
    trace.pass(REQUESTS / 10, 50, 150);
    trace.converse(REQUESTS / 2, 60, &prompts, 12);
    trace
}

/// Prefix hits in parts of all blocks.
fn hits(eviction: EvictionKind, trace: &Trace, capacity: f64) -> f64 {
    let mut cache = CacheSimulation::new(eviction, (trace.next as f64 * capacity) as u32);
    let (mut hits, mut blocks) = (0, 0);
    for request in &trace.requests {
        blocks += request.len();
        hits += request.iter().take_while(|block| cache.has(**block)).count();
        request.iter().for_each(|block| cache.ask(*block));
    }
    hits as f64 / blocks as f64
}

#[test]
fn hit_density_loses_at_most_a_point_to_lru_with_any_habit() {
    type Habit = (&'static str, fn(u64) -> Trace);
    let habits: [Habit; 3] = [("agents", agents), ("scans", scans), ("burst", burst)];
    for (habit, of_seed) in habits {
        for seed in 1..=2 {
            let trace = of_seed(seed);
            for capacity in CAPACITIES {
                let [lru, density] = [EvictionKind::Lru, EvictionKind::HitDensity]
                    .map(|eviction| 100.0 * hits(eviction, &trace, capacity));
                println!("{habit} {seed} {capacity} lru={lru:.1} hit-density={density:.1}");
                // A cache of ten prompts is too small to learn by.
                let least = lru - if capacity < 0.05 { 2.0 } else { 1.0 };
                assert!(density > least, "{habit} {seed} {capacity}: {lru} {density}");
            }
        }
    }
}

/// Prefix hits in parts of all blocks, where clients take turns with single calls.
fn hits_of_clients(
    eviction: EvictionKind,
    requests: &[Vec<u64>],
    capacity: u32,
    clients: usize,
) -> f64 {
    struct Client<'a> {
        rest: &'a [u64],
        is_prefix: bool,
    }
    let mut cache = CacheSimulation::new(eviction, capacity);
    let mut waiting = requests.iter();
    let mut next = || waiting.next().map(|request| Client { rest: request, is_prefix: true });
    let mut at_once: Vec<Client<'_>> = (0..clients).map_while(|_| next()).collect();
    let mut draws = Draws::new(3);
    let (mut hits, mut blocks) = (0, 0);
    while !at_once.is_empty() {
        let place = draws.index(at_once.len());
        let client = &mut at_once[place];
        if let Some((block, rest)) = client.rest.split_first() {
            client.is_prefix &= cache.has(*block);
            hits += u64::from(client.is_prefix);
            blocks += 1;
            cache.ask(*block);
            client.rest = rest;
        } else if let Some(other) = next() {
            at_once[place] = other;
        } else {
            at_once.swap_remove(place);
        }
    }
    hits as f64 / blocks as f64
}

#[test]
fn clients_that_take_turns_with_single_calls_leave_hit_density_its_gain() {
    let recorded: Vec<_> =
        trace::requests(trace::MOONCAKE_CONVERSATION).map(|(_, blocks)| blocks).collect();
    let traces = [
        ("recorded", recorded),
        ("agents", agents(1).requests),
        ("scans", scans(1).requests),
        ("burst", burst(1).requests),
    ];
    for (name, requests) in traces {
        let mut distinct = requests.concat();
        distinct.sort_unstable();
        distinct.dedup();
        for part in [0.05, 0.1, 0.2] {
            let capacity = (distinct.len() as f64 * part) as u32;
            let gain = |clients| {
                let hits =
                    |eviction| 100.0 * hits_of_clients(eviction, &requests, capacity, clients);
                let [lru, density] = [EvictionKind::Lru, EvictionKind::HitDensity].map(hits);
                println!("{name} {part} {clients} clients lru={lru:.1} hit-density={density:.1}");
                density - lru
            };
            let (alone, together) = (gain(1), gain(16));
            assert!(together > alone - 1.0, "{name} {part}: {together:.2} instead of {alone:.2}");
        }
    }
}

#[test]
fn what_comes_back_outlives_a_scan_of_three_times_the_cache() {
    for (eviction, least) in [(EvictionKind::HitDensity, 0.9), (EvictionKind::Lru, 0.0)] {
        let mut trace = Trace::new(1);
        let prompts = trace.prompts(40, 20, 40);
        for _ in 0..20 {
            trace.converse(REQUESTS / 20, 20, &prompts, 40);
            trace.pass(REQUESTS / 20, 20, 60);
        }
        let capacity = trace.next as u32 / 20;
        let mut cache = CacheSimulation::new(eviction, capacity);
        trace.requests.iter().flatten().for_each(|block| cache.ask(*block));
        let hot: Vec<u64> = prompts.concat();
        let hot: Vec<u64> = hot.into_iter().filter(|block| cache.has(*block)).collect();
        (0..u64::from(3 * capacity)).for_each(|block| cache.ask(trace.next + block));
        let kept = hot.iter().filter(|block| cache.has(**block)).count();
        println!("{eviction}: {kept} of {} are left, in a cache of {capacity}", hot.len());
        assert!(hot.len() > 500, "{eviction}: {}", hot.len());
        assert!(kept as f64 >= least * hot.len() as f64, "{eviction}: {kept} of {}", hot.len());
    }
}
