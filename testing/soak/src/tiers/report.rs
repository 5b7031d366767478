//! Report of a campaign over a tier.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::verdict::{row, verdict};

/// Number of faults whose texts are kept.
const TEXTS_MAX: usize = 20;

/// Report of a campaign over a tier.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct TiersReport {
    /// Seed, which replays lengths, choices and the times of kills.
    pub seed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Number of kills.
    pub kills: u64,
    /// Kills after which the segment was removed as well.
    pub reboots: u64,
    /// Tiers, each empty at first.
    pub tiers: u64,
    /// Kills of a daemon that had copied what was queued.
    pub rests: u64,
    /// Objects that were there at these kills.
    pub looked: u64,
    /// Objects of these that were not there afterwards.
    pub lost: u64,
    /// Kills of a daemon whose store was in trouble.
    pub troubles: u64,
    /// Objects stored.
    pub stored: u64,
    /// Objects read, with every byte right.
    pub read: u64,
    /// Reads of objects that were not there.
    pub missed: u64,
    /// Reads of objects that did not come in time.
    pub late: u64,
    /// Objects removed.
    pub removed: u64,
    /// The first faults.
    pub faults: Vec<String>,
}

/// Findings of one client.
#[derive(Default)]
pub(super) struct Found {
    pub(super) stored: u64,
    pub(super) read: u64,
    pub(super) missed: u64,
    pub(super) late: u64,
    pub(super) removed: u64,
    pub(super) looked: u64,
    faults: Vec<String>,
}

impl Found {
    pub(super) fn fault(&mut self, text: String) {
        if self.faults.len() < TEXTS_MAX {
            self.faults.push(text);
        }
    }
}

impl TiersReport {
    /// The faults; empty if all is well.
    pub fn faults(&self) -> Vec<String> {
        self.faults.clone()
    }

    pub(super) fn take(&mut self, found: Found) {
        let Found { stored, read, missed, late, removed, looked, faults } = found;
        self.stored += stored;
        self.read += read;
        self.missed += missed;
        self.late += late;
        self.removed += removed;
        self.looked += looked;
        self.faults.extend(faults);
    }

    /// Adds the report of another daemon.
    pub(super) fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.reboots += other.reboots;
        self.tiers += other.tiers;
        self.rests += other.rests;
        self.troubles += other.troubles;
        self.lost += other.lost;
        self.take(Found {
            stored: other.stored,
            read: other.read,
            missed: other.missed,
            late: other.late,
            removed: other.removed,
            looked: other.looked,
            faults: other.faults,
        });
    }
}

impl fmt::Display for TiersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "seed", self.seed)?;
        row(f, "seconds", format_args!("{:.1}", self.seconds))?;
        for (name, count) in [
            ("kills", self.kills),
            ("  with a reboot", self.reboots),
            ("  of a daemon at rest", self.rests),
            ("  of one over a store in trouble", self.troubles),
            ("tiers", self.tiers),
            ("objects stored", self.stored),
            ("objects read, every byte right", self.read),
            ("reads of what was not there", self.missed),
            ("reads of what did not come in time", self.late),
            ("objects removed", self.removed),
            ("objects that were there at a kill at rest", self.looked),
            ("  and were not there afterwards", self.lost),
        ] {
            row(f, name, count)?;
        }
        verdict(f, &self.faults)
    }
}
