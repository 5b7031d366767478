//! Live curve: the hit ratio that the daemon would have with other capacities and other policies.
//!
//! For each policy and for several multiples of the capacity, a small cache without bytes is simulated
//! with the references to a [sample](crate::references) of the objects: it has the policy's own code, and
//! that part of the capacity which the sample is of all objects. Waldspurger, Saemundsson, Ahmad and
//! Park, "Cache modeling and optimization using miniature simulations", ATC 2017.
//!
//! The hit ratio is that of objects: references that find their object, by all references. A reference
//! is
//!
//! * a lease, or a read without one, whether it found the object or not. Where clients
//!   take a lease to look an object up and another one to read it, both are [one use](leases);
//! * a store of an object that no client missed before. Clients look no further than the first miss, and
//!   compute and store what follows as well. A store that follows a miss is the same use.
//!
//! Look-ups without a lease are none. Clients repeat them while a request waits, and most are answered
//! without a call; what they miss shows when it is stored.

mod choice;
mod leases;
mod points;
mod recent;

use std::time::Duration;

use kvlease_types::{ByteSize, Timestamp};

use crate::{
    config::{EvictionKind, UNIT},
    eviction::GhostCache,
    references::{REFERENCES_MEMORY, Reference, ReferenceKind, References},
};
use choice::Choice;
pub use choice::PolicyChoice;
use leases::Leases;
pub use points::{CurvePoint, CurveStats};
use points::{QUARTERS, Tally};
use recent::Recent;

/// Place of the arena's own capacity among them.
const SAME_CAPACITY: usize = 2;

/// Sum of these.
const QUARTERS_SUM: usize = 63;

/// The largest of these.
const QUARTERS_MAX: usize = 32;

/// A store so long after a miss is the same use: the object was computed in between.
const COMPUTED_WITHIN: Duration = Duration::from_secs(600);

/// Objects in the largest cache of a policy below which the sample is not made smaller for the sake of
/// time: it would tell too little.
const OBJECTS_MIN: usize = 8_192;

/// Part of a policy's memory that does not depend on the number of objects, for each simulated cache.
const CACHE_BYTES: usize = 256 << 10;

/// How references are counted, and the memory for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CurveConfig {
    /// Limit of the curve's memory, of at least [`MEMORY_MIN`](Self::MEMORY_MIN).
    pub memory_max: ByteSize,
    /// Time after which a reference counts half: habits change.
    pub half_life: Duration,
    /// Longest time between two leases of an object that are one use.
    pub same_use: Duration,
}

impl CurveConfig {
    /// The least memory that a curve can do with.
    pub const MEMORY_MIN: ByteSize = ByteSize::mib(8);

    /// A half-life of half an hour; a second for a look-up and the read after it.
    pub const fn new(memory_max: ByteSize) -> Self {
        let (half_life, same_use) = (Duration::from_secs(1800), Duration::from_secs(1));
        Self { memory_max, half_life, same_use }
    }
}

/// Simulated caches for every policy and several capacities, and what they have learned.
#[derive(Debug)]
pub struct LiveCurve {
    /// Those of one policy behind the other, each from the smallest to the largest.
    caches: Vec<GhostCache>,
    tally: Tally,
    choice: Choice,
    /// The largest hash of a name in the sample.
    hash_max: u64,
    /// Units of the arena.
    capacity: u64,
    /// Objects that the largest cache of a policy may have.
    objects_max: usize,
    leases: Leases,
    /// Objects that were missed and not stored since.
    missed: Recent<()>,
}

impl LiveCurve {
    /// A curve that begins with every object in the sample.
    pub fn new(config: &CurveConfig) -> Self {
        let memory = config.memory_max.max(CurveConfig::MEMORY_MIN).bytes() as usize;
        let objects = (memory - Self::fixed_memory()) / GhostCache::OBJECT_BYTES;
        let objects = objects / EvictionKind::ALL.len();
        let caches = EvictionKind::ALL.into_iter();
        Self {
            caches: caches.flat_map(|kind| QUARTERS.map(|_| GhostCache::new(kind))).collect(),
            tally: Tally::new(config.half_life),
            choice: Choice::default(),
            hash_max: u64::MAX,
            capacity: 0,
            objects_max: objects * QUARTERS_MAX / QUARTERS_SUM,
            leases: Leases::new(config.same_use),
            missed: Recent::new(COMPUTED_WITHIN),
        }
    }

    fn fixed_memory() -> usize {
        let caches = EvictionKind::ALL.len() * QUARTERS.len() * CACHE_BYTES;
        caches + Leases::MEMORY + Recent::<()>::MEMORY + REFERENCES_MEMORY
    }

    /// The largest hash of a name in the sample, for
    /// [`Catalog::watch_references`](crate::Catalog::watch_references).
    pub const fn hash_max(&self) -> u64 {
        self.hash_max
    }

    /// Part of all objects that is in the sample.
    pub fn sample_rate(&self) -> f64 {
        (self.hash_max as f64 + 1.0) / 2.0_f64.powi(64)
    }

    /// Follows references that a catalog with this capacity for objects has handed out. Where they are too many, the
    /// sample gets smaller, and the catalog is to be told.
    pub fn observe(&mut self, references: &References, capacity: ByteSize, now: Timestamp) {
        self.tally.decay(now);
        let capacity = capacity.bytes() / UNIT.bytes();
        if capacity != self.capacity {
            self.capacity = capacity;
            self.resize();
        }
        self.tally.expected += references.found as f64 * self.sample_rate();
        self.tally.lost += references.lost;
        for reference in &references.list {
            if reference.hash <= self.hash_max {
                self.follow(reference, now);
            }
        }
        if references.lost > 0 && self.caches.iter().any(|cache| cache.len() >= OBJECTS_MIN) {
            self.narrow();
        }
    }

    /// Figures for every policy and capacity.
    pub fn stats(&self) -> CurveStats {
        let caches = EvictionKind::ALL.into_iter().flat_map(|kind| QUARTERS.map(|q| (kind, q)));
        let points = caches.enumerate().map(|(place, (policy, quarters))| CurvePoint {
            policy,
            times: f64::from(quarters) / 4.0,
            hit_ratio: self.tally.hit_ratio(place),
        });
        let objects: usize = self.caches.iter().map(GhostCache::span).sum();
        let memory = Self::fixed_memory() + objects * GhostCache::OBJECT_BYTES;
        CurveStats {
            points: points.collect(),
            references: self.tally.counted,
            sample_rate: self.sample_rate(),
            lost: self.tally.lost,
            tracked: objects as u64,
            memory: ByteSize::new(memory as u64),
        }
    }

    /// A policy that would have clearly more hits than the one in use. After one was named, none is for
    /// a while.
    pub fn better_policy(&mut self, current: EvictionKind, now: Timestamp) -> Option<PolicyChoice> {
        if !self.choice.is_due(now) {
            return None;
        }
        let ratio = |kind: EvictionKind| {
            let kinds = EvictionKind::ALL.iter();
            let place = kinds.take_while(|other| **other != kind).count() * QUARTERS.len();
            self.tally.hit_ratio(place + SAME_CAPACITY)
        };
        let best = EvictionKind::ALL.into_iter().max_by(|a, b| ratio(*a).total_cmp(&ratio(*b)))?;
        let (hit_ratio_before, hit_ratio) = (ratio(current), ratio(best));
        let is_better = hit_ratio >= hit_ratio_before + choice::MARGIN;
        is_better.then(|| {
            self.choice.named(now);
            let references = self.tally.counted;
            PolicyChoice { before: current, hit_ratio_before, policy: best, hit_ratio, references }
        })
    }

    fn follow(&mut self, reference: &Reference, now: Timestamp) {
        let Reference { hash, units, kind } = *reference;
        let is_new = match kind {
            ReferenceKind::Removed => {
                return self.caches.iter_mut().for_each(|cache| cache.remove(hash));
            }
            ReferenceKind::Stored => self.missed.take(hash, now).is_none(),
            ReferenceKind::Found => self.leases.is_new(hash, true, now),
            ReferenceKind::Missed => self.leases.is_new(hash, false, now),
            ReferenceKind::Offered => true,
        };
        if kind == ReferenceKind::Missed {
            self.missed.insert(hash, (), now);
        }
        self.tally.count(kind == ReferenceKind::Found, is_new);
        self.choice.uses += u64::from(is_new);
        // As in the catalog, a store is no use of an object that is there.
        let is_use = matches!(kind, ReferenceKind::Found | ReferenceKind::Missed);
        for (cache, hits) in self.caches.iter_mut().zip(&mut self.tally.hits) {
            let is_there = if is_use { cache.touch(hash) } else { cache.has(hash) };
            if is_there && is_new {
                *hits += 1.0;
            }
            // What is missed is stored next, and has its size then.
            if !is_there && kind != ReferenceKind::Missed {
                cache.insert(hash, units);
            }
        }
        if self.is_full() {
            self.narrow();
        }
    }

    /// Whether a cache has more objects than its part of the memory has room for.
    fn is_full(&self) -> bool {
        let maxima = QUARTERS.map(|q| self.objects_max * q as usize / QUARTERS_MAX);
        let caches = self.caches.chunks_exact(QUARTERS.len());
        caches.flat_map(|caches| caches.iter().zip(maxima)).any(|(cache, max)| cache.len() > max)
    }

    /// Halves the sample.
    fn narrow(&mut self) {
        self.hash_max /= 2;
        self.tally.narrow();
        for cache in &mut self.caches {
            cache.narrow(self.hash_max);
        }
        self.resize();
    }

    /// Gives each cache its part of the capacity.
    fn resize(&mut self) {
        let quarter = self.capacity as f64 * self.sample_rate() / 4.0;
        for caches in self.caches.chunks_exact_mut(QUARTERS.len()) {
            for (cache, quarters) in caches.iter_mut().zip(QUARTERS) {
                cache.resize((quarter * f64::from(quarters)) as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests;
