//! Points of the curve, and the counts behind them.

use std::time::Duration;

use kvlease_types::{ByteSize, Timestamp};

use crate::config::EvictionKind;

/// Capacities that are simulated, in quarters of the arena's.
pub(super) const QUARTERS: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// Hit ratio with one policy and one capacity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CurvePoint {
    /// The policy.
    pub policy: EvictionKind,
    /// The capacity, in multiples of the arena's.
    pub times: f64,
    /// References that would find their object, by all references; 0 without any.
    pub hit_ratio: f64,
}

/// Points of a curve, and what it takes.
#[derive(Clone, PartialEq, Debug)]
pub struct CurveStats {
    /// By policy, then from the smallest capacity to the largest.
    pub points: Vec<CurvePoint>,
    /// References to objects of the sample that the points rest on, those of long ago in part.
    pub references: f64,
    /// Part of all objects that is in the sample.
    pub sample_rate: f64,
    /// References to objects of the sample that came too quickly to be followed.
    pub lost: u64,
    /// Objects in all simulated caches, each as often as it is in one.
    pub tracked: u64,
    /// Memory by its own account.
    pub memory: ByteSize,
}

impl CurveStats {
    /// Hit ratio with a policy and a multiple of the capacity that is simulated.
    pub fn hit_ratio(&self, policy: EvictionKind, times: f64) -> Option<f64> {
        let point = self.points.iter().find(|p| p.policy == policy && p.times == times)?;
        Some(point.hit_ratio)
    }
}

/// Counts that fade: what was counted a half-life ago counts half.
#[derive(Debug)]
pub(super) struct Tally {
    /// Hits of each cache.
    pub(super) hits: Vec<f64>,
    /// Uses of the sample.
    pub(super) counted: f64,
    /// References that found their object of the sample.
    found: f64,
    /// Those of them that are uses.
    found_uses: f64,
    /// As many as would have found theirs if the sample had its exact part of them all.
    pub(super) expected: f64,
    /// References that were lost, since the start.
    pub(super) lost: u64,
    half_life: Duration,
    /// When it faded last.
    at: Timestamp,
}

impl Tally {
    pub(super) fn new(half_life: Duration) -> Self {
        Self {
            hits: vec![0.0; EvictionKind::ALL.len() * QUARTERS.len()],
            counted: 0.0,
            found: 0.0,
            found_uses: 0.0,
            expected: 0.0,
            lost: 0,
            half_life,
            at: Timestamp::default(),
        }
    }

    /// Hit ratio of a cache.
    ///
    /// A sample has too few references or too many mainly for a few objects that are used all the
    /// time, which are in it or not. Every cache has those: what is missing are hits, as in SHARDS.
    pub(super) fn hit_ratio(&self, cache: usize) -> f64 {
        let uses_each = if self.found > 0.0 { self.found_uses / self.found } else { 1.0 };
        let missing = (self.expected - self.found) * uses_each;
        let uses = self.counted + missing;
        if uses > 0.0 { ((self.hits[cache] + missing) / uses).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Counts a reference to the sample.
    pub(super) fn count(&mut self, found: bool, is_use: bool) {
        self.counted += f64::from(u8::from(is_use));
        self.found += f64::from(u8::from(found));
        self.found_uses += f64::from(u8::from(found && is_use));
    }

    /// Lets everything fade until now.
    pub(super) fn decay(&mut self, now: Timestamp) {
        let lives = now.since(self.at).as_secs_f64() / self.half_life.as_secs_f64();
        self.at = now;
        self.scale(0.5_f64.powf(lives));
    }

    /// Follows the sample, which has been halved.
    pub(super) fn narrow(&mut self) {
        self.scale(0.5);
    }

    fn scale(&mut self, factor: f64) {
        let found = [&mut self.found, &mut self.found_uses, &mut self.expected];
        let counts = found.into_iter().chain([&mut self.counted]);
        self.hits.iter_mut().chain(counts).for_each(|count| *count *= factor);
    }
}
