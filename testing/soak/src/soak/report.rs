//! Report of a soak.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{counts::Count, leftover::Leftover, verdict};

/// Report of a soak.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Seed, which replays the soak.
    pub seed: u64,
    /// Eviction policy of the daemon.
    pub eviction: String,
    /// Time that the clients raced, in seconds.
    pub seconds: f64,
    /// Bytes of the arena.
    pub capacity: u64,
    /// Bytes of all objects that clients tried to keep in it.
    pub working_set: u64,
    /// Number of keys.
    pub keys: u64,
    /// Clients killed in the middle of a store.
    pub kills_in_put: u64,
    /// Clients killed in the middle of a read.
    pub kills_in_read: u64,
    /// Clients killed between two requests, or while they held leases without reading.
    pub kills_in_pause: u64,
    /// Objects evicted.
    pub evictions: u64,
    /// Leases that expired without a release.
    pub leases_expired: u64,
    /// Lease requests that waited for an upload.
    pub lease_waits: u64,
    /// Pending objects that the daemon discarded.
    pub writes_aborted: u64,
    /// Objects that the daemon itself found corrupt.
    pub corrupt_objects: u64,
    /// Counts of the clients.
    pub counts: BTreeMap<String, u64>,
    /// Everything that was not free at the end.
    pub leftover: Leftover,
    /// Exit status of the daemon after `SIGTERM`; none if a signal ended it.
    pub daemon_status: Option<i32>,
}

impl Report {
    /// One of the counts.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(count.name()).copied().unwrap_or(0)
    }

    /// Faults, in one line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for count in [Count::WrongBytes, Count::WrongVersions, Count::Errors] {
            if self.count(count) > 0 {
                faults.push(format!("{}: {}", count.about(), self.count(count)));
            }
        }
        if self.corrupt_objects > 0 {
            faults.push(format!("objects that the daemon found corrupt: {}", self.corrupt_objects));
        }
        if self.leftover != Leftover::default() {
            faults.push(format!("the daemon is not empty at the end: {:?}", self.leftover));
        }
        if self.daemon_status != Some(0) {
            faults.push(format!("exit status of the daemon: {:?}", self.daemon_status));
        }
        if [Count::Stored, Count::StoredChunked, Count::StoredLane].map(|way| self.count(way))
            == [0; 3]
        {
            faults.push("nothing was soaked, nothing was stored".to_owned());
        }
        let done = [Count::Copied, Count::Fetched, Count::Removed];
        if let Some(missing) = done.iter().find(|count| self.count(**count) == 0) {
            faults.push(format!("nothing was soaked, {}: 0", missing.about()));
        }
        if self.count(Count::LeasedLane) > 0 && self.count(Count::Indexed) == 0 {
            faults.push("nothing was found in the published index".to_owned());
        }
        faults
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn fmt::Display| verdict::row(f, name, value);
        row("seed", &self.seed)?;
        row("eviction policy", &self.eviction)?;
        row("seconds", &format_args!("{:.1}", self.seconds))?;
        row("capacity, bytes", &self.capacity)?;
        row("all objects together, bytes", &self.working_set)?;
        row("keys", &self.keys)?;
        for count in Count::ALL {
            row(count.about(), &self.count(*count))?;
        }
        row("clients killed in the middle of a store", &self.kills_in_put)?;
        row("clients killed in the middle of a read", &self.kills_in_read)?;
        row("clients killed otherwise", &self.kills_in_pause)?;
        row("objects evicted", &self.evictions)?;
        row("leases expired without a release", &self.leases_expired)?;
        row("lease requests that waited for a pending object", &self.lease_waits)?;
        row("pending objects discarded by the daemon", &self.writes_aborted)?;
        row("objects that the daemon found corrupt", &self.corrupt_objects)?;
        row("leases, pending and sealed objects left at the end", &self.leftover.things())?;
        row("leaked bytes", &self.leftover.leaked)?;
        let status = self.daemon_status.map_or("killed".to_owned(), |status| status.to_string());
        row("exit status of the daemon", &status)?;
        verdict::verdict(f, &self.faults())
    }
}
