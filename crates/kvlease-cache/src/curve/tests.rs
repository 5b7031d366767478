//! The curve of a real catalog next to a replay of the same references.

use std::time::Duration;

use kvlease_testing::Draws;
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, Timestamp};

use super::*;
use crate::{CacheSimulation, Catalog, CatalogConfig, Room, Successor};

const CALLER: Caller = Caller::DAEMON;

/// A catalog whose references a curve follows.
struct Followed {
    catalog: Catalog,
    curve: LiveCurve,
    batch: References,
    now: Timestamp,
    /// Whether the curve chooses the policy.
    chooses: bool,
    asked: u64,
    hits: u64,
}

/// Counts that do not fade, and every lease a use of its own.
fn lasting(memory_max: ByteSize) -> CurveConfig {
    let half_life = Duration::from_secs(1 << 40);
    CurveConfig { half_life, same_use: Duration::ZERO, ..CurveConfig::new(memory_max) }
}

impl Followed {
    fn new(units: u64, eviction: EvictionKind, config: &CurveConfig) -> Self {
        let capacity = ByteSize::new(units * UNIT.bytes());
        let catalog = CatalogConfig { capacity, eviction, ..CatalogConfig::default() };
        let mut catalog = Catalog::new(catalog, Epoch::new(1));
        catalog.grow(capacity);
        let curve = LiveCurve::new(config);
        catalog.watch_references(curve.hash_max());
        let (batch, now) = (References::default(), Timestamp::default());
        Self { catalog, curve, batch, now, chooses: false, asked: 0, hits: 0 }
    }

    /// Reads an object, or stores it: as a client does.
    fn ask(&mut self, name: u64) {
        let key = name.to_string();
        self.now = self.now.after(Duration::from_millis(100));
        match self.catalog.acquire(&CALLER, "b", &key, Duration::from_secs(1), self.now) {
            Ok(lease) => {
                self.hits += 1;
                self.catalog.release(&CALLER, lease.id, self.now);
            }
            Err(_) => self.store(&key),
        }
        self.asked += 1;
        if self.asked.is_multiple_of(1000) {
            self.follow();
        }
    }

    fn store(&mut self, key: &str) {
        let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
        let write = loop {
            match self.catalog.reserve(&bucket, &key, UNIT, self.now).unwrap() {
                Room::Given(reservation) => break reservation.id,
                Room::AfterDrain => self.catalog.discard_changes(),
            }
        };
        self.catalog.seal(write, UNIT, Checksum::new(0), self.now).unwrap();
        self.catalog.discard_changes();
    }

    fn follow(&mut self) {
        self.catalog.take_references(&mut self.batch);
        self.curve.observe(&self.batch, self.catalog.evictable_capacity(), self.now);
        self.catalog.watch_references(self.curve.hash_max());
        let current = self.catalog.config().eviction;
        if self.chooses
            && let Some(choice) = self.curve.better_policy(current, self.now)
        {
            assert_eq!(choice.before, current);
            assert!(choice.hit_ratio > choice.hit_ratio_before && choice.references > 0.0);
            let successor = Successor::new(choice.policy, self.catalog.slots());
            self.catalog.change_eviction(successor).expect("the change before is over");
            while self.catalog.hand_over(100).is_none() {
                self.catalog.check();
            }
            self.catalog.check();
        }
    }

    fn check(&self) {
        self.curve.caches.iter().for_each(GhostCache::check);
        self.catalog.check();
    }
}

/// Chains of blocks that come back sooner or later, among blocks that never do.
fn references(seed: u64, count: usize) -> Vec<u64> {
    let mut draws = Draws::new(seed);
    let mut names = Vec::new();
    while names.len() < count {
        let chain = draws.log_between(1, 1 << 16);
        names.extend((0..1 + chain % 40).map(|block| chain << 8 | block));
        let passing = names.len() as u64;
        names.extend((0..draws.below(20)).map(|number| 1 << 40 | passing << 8 | number));
    }
    names
}

/// Hit ratio of a cache of this many objects.
fn replayed(names: &[u64], eviction: EvictionKind, capacity: u32) -> f64 {
    let mut cache = CacheSimulation::new(eviction, capacity);
    let mut hits = 0;
    for name in names {
        hits += u64::from(cache.has(*name));
        cache.ask(*name);
    }
    hits as f64 / names.len() as f64
}

/// The largest difference between the curve and replays of the same references.
fn largest_difference(names: &[u64], units: u64, stats: &CurveStats) -> f64 {
    let differences = stats.points.iter().map(|point| {
        let capacity = (units as f64 * point.times) as u32;
        (point.hit_ratio - replayed(names, point.policy, capacity)).abs()
    });
    differences.fold(0.0, f64::max)
}

#[test]
fn the_curve_of_a_small_cache_is_that_of_replays() {
    for eviction in EvictionKind::ALL {
        let mut followed = Followed::new(200, eviction, &lasting(ByteSize::mib(32)));
        let names = references(7, 40_000);
        names.iter().for_each(|name| followed.ask(*name));
        followed.follow();
        followed.check();
        let stats = followed.curve.stats();
        assert_eq!((stats.sample_rate, stats.lost), (1.0, 0));
        assert_eq!(stats.references.round(), names.len() as f64, "every reference counts once");
        let difference = largest_difference(&names, 200, &stats);
        assert!(difference < 0.001, "{eviction}: {difference}");
        let own = followed.hits as f64 / names.len() as f64;
        assert!((own - stats.hit_ratio(eviction, 1.0).unwrap()).abs() < 0.001, "{eviction}: {own}");
    }
}

#[test]
fn the_curve_of_a_sample_is_that_of_replays_within_two_points() {
    for seed in [1, 2, 3] {
        let memory_max = ByteSize::mib(16);
        let config = lasting(memory_max);
        let mut followed = Followed::new(4_000, EvictionKind::Lru, &config);
        let names = references(seed, 250_000);
        names.iter().for_each(|name| followed.ask(*name));
        followed.follow();
        followed.check();
        let stats = followed.curve.stats();
        assert!(stats.sample_rate <= 0.5 && stats.memory <= memory_max, "{stats:?}");
        let difference = largest_difference(&names, 4_000, &stats);
        let sampled = stats.sample_rate;
        println!("seed {seed}: {:.2} points, {sampled:.3} sampled", difference * 100.0);
        assert!(difference < 0.02, "{difference} {stats:?}");
    }
}

#[test]
fn a_miss_and_its_store_are_one_use() {
    let mut followed = Followed::new(10, EvictionKind::Lru, &CurveConfig::new(ByteSize::mib(8)));
    let count = |followed: &mut Followed| {
        followed.follow();
        let stats = followed.curve.stats();
        (stats.references.round(), stats.hit_ratio(EvictionKind::Lru, 1.0).unwrap())
    };
    followed.ask(1);
    assert_eq!(count(&mut followed), (1.0, 0.0), "missed and stored");
    followed.store("2");
    assert_eq!(count(&mut followed), (2.0, 0.0), "stored without a look-up");
    followed.ask(2);
    let (uses, ratio) = count(&mut followed);
    assert_eq!(uses, 3.0, "read");
    assert!((ratio - 1.0 / 3.0).abs() < 0.01, "{ratio}");
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("1").unwrap());
    assert!(followed.catalog.reserve(&bucket, &key, UNIT, followed.now).is_err());
    let (uses, ratio) = count(&mut followed);
    assert_eq!(uses, 4.0, "stored again, though it was there");
    assert!((ratio - 1.0 / 2.0).abs() < 0.01, "{ratio}");
    followed.catalog.remove("b", "1").unwrap();
    assert_eq!(count(&mut followed).0, 4.0, "a removal is no use");
    assert!(followed.curve.caches.iter().all(|cache| cache.len() == 1));
    followed.check();
}

#[test]
fn objects_of_several_sizes_take_their_room() {
    let mut followed = Followed::new(64, EvictionKind::Lru, &lasting(ByteSize::mib(8)));
    let list = (0..40).map(|hash| Reference { hash, units: 4, kind: ReferenceKind::Stored });
    let references = References { list: list.collect(), found: 0, lost: 0 };
    let capacity = followed.catalog.evictable_capacity();
    followed.curve.observe(&references, capacity, followed.now);
    followed.check();
    let lens = followed.curve.caches.iter().map(GhostCache::len).take(QUARTERS.len());
    assert_eq!(lens.collect::<Vec<_>>(), [4, 8, 16, 32, 40, 40]);
}

#[test]
fn references_fade() {
    let mut followed = Followed::new(10, EvictionKind::Lru, &CurveConfig::new(ByteSize::mib(8)));
    followed.ask(1);
    followed.follow();
    followed.now = followed.now.after(Duration::from_secs(1800));
    followed.follow();
    assert!((followed.curve.stats().references - 0.5).abs() < 0.01);
}

/// Habits of one kind: what was stored lately comes back a few times, soon.
fn recent_ones(draws: &mut Draws, count: u64) -> Vec<u64> {
    (0..count).map(|at| 1 << 50 | (at / 3).saturating_sub(draws.log_between(1, 400))).collect()
}

/// Habits of another kind: some come back now and then among many that never do.
fn scanned_ones(draws: &mut Draws, count: u64) -> Vec<u64> {
    let mut one = |at| if draws.one_in(3) { 1 << 51 | draws.below(150) } else { 1 << 52 | at };
    (0..count).map(&mut one).collect()
}

#[test]
fn a_chosen_policy_is_within_a_point_of_the_best_one() {
    let config = CurveConfig { same_use: Duration::ZERO, ..CurveConfig::new(ByteSize::mib(16)) };
    let mut draws = Draws::new(5);
    let phases = [scanned_ones(&mut draws, 150_000), recent_ones(&mut draws, 150_000)];
    let run = |eviction, chooses| {
        let mut followed = Followed::new(200, eviction, &config);
        followed.chooses = chooses;
        let phases = phases.each_ref().map(|names| {
            let (learning, rest) = names.split_at(names.len() / 2);
            learning.iter().for_each(|name| followed.ask(*name));
            let before = followed.hits;
            rest.iter().for_each(|name| followed.ask(*name));
            (followed.hits - before) as f64 / rest.len() as f64
        });
        (phases, followed.catalog.config().eviction)
    };
    let fixed = EvictionKind::ALL.map(|eviction| run(eviction, false).0);
    let (chosen, last) = run(EvictionKind::Lru, true);
    println!("{fixed:?} chosen {chosen:?}, {last} last");
    for (phase, chosen) in chosen.into_iter().enumerate() {
        let ratios = fixed.map(|ratios| ratios[phase]);
        let best = ratios.into_iter().fold(0.0, f64::max);
        let worst = ratios.into_iter().fold(1.0, f64::min);
        assert!(best - worst > 0.02, "the policies differ: {ratios:?}");
        assert!(chosen > best - 0.01, "{chosen} {ratios:?}");
    }
}
