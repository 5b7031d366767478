//! Report of a world.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::shared::Shared;
use crate::verdict;

/// Report of a world.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct WorldReport {
    /// Seed, which replays steps, keys, lengths and choices.
    pub seed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Counts by what was counted.
    pub counts: BTreeMap<String, u64>,
    /// Number of faults.
    pub fault_count: u64,
    /// First of the faults.
    pub fault_texts: Vec<String>,
}

impl WorldReport {
    pub(super) fn of(seed: u64, took: Duration, shared: &Shared) -> Self {
        let (fault_count, fault_texts) = shared.faults();
        let seconds = took.as_secs_f64();
        Self { seed, seconds, counts: shared.counts(), fault_count, fault_texts }
    }

    /// One of the counts.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Faults, in one line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.fault_texts.clone();
        let more = self.fault_count - faults.len() as u64;
        if more > 0 {
            faults.push(format!("further faults: {more}"));
        }
        faults
    }
}

impl fmt::Display for WorldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        verdict::row(f, "seed", self.seed)?;
        verdict::row(f, "seconds", format_args!("{:.1}", self.seconds))?;
        for (what, count) in &self.counts {
            verdict::row(f, what, count)?;
        }
        verdict::verdict(f, &self.faults())
    }
}
