//! Report of a campaign with a scribbler.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::common::Common;
use crate::verdict::{row, verdict};

/// Report of a campaign with a scribbler.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct ScribbleReport {
    /// Seed, which replays keys, lengths, choices and places.
    pub seed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Objects that the daemon itself found corrupt, and removed.
    pub found_corrupt: u64,
    /// Counts of the clients and of the scribbler.
    pub counts: BTreeMap<String, u64>,
    /// Status of the daemon after `SIGTERM`.
    pub daemon_status: Option<i32>,
    /// First of the faults.
    pub fault_texts: Vec<String>,
}

impl ScribbleReport {
    pub(super) fn of(
        common: &Common,
        seconds: f64,
        found_corrupt: u64,
        daemon_status: Option<i32>,
    ) -> Self {
        let (seed, counts, fault_texts) = (common.seed, common.counts(), common.faults());
        Self { seed, seconds, found_corrupt, counts, daemon_status, fault_texts }
    }

    /// One of the counts.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Faults, in one line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.fault_texts.clone();
        if self.daemon_status != Some(0) {
            faults.push(format!("exit status of the daemon: {:?}", self.daemon_status));
        }
        faults
    }
}

impl fmt::Display for ScribbleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "seed", self.seed)?;
        row(f, "seconds", format_args!("{:.1}", self.seconds))?;
        for (what, count) in &self.counts {
            row(f, what, count)?;
        }
        row(f, "objects that the daemon found corrupt", self.found_corrupt)?;
        verdict(f, &self.faults())
    }
}
