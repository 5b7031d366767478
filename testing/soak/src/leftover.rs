//! Space and leases that a daemon still has after its clients are gone.

use std::time::Duration;

use kvlease_api::StatsReply;
use kvlease_harness::{Daemon, until};
use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupt;

/// Limit for the daemon to be empty after the last lease: far longer than one tick of its
/// maintenance.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// Everything that was not free after all objects were removed and all leases had ended: all zero
/// unless there is a fault.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Leftover {
    /// Live leases.
    pub leases: u64,
    /// Pending objects.
    pub writes: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of objects.
    pub stored: u64,
    /// Bytes in quarantine.
    pub quarantined: u64,
    /// Bytes of the arena that were never populated.
    pub unpopulated: u64,
    /// Bytes that are not free.
    pub leaked: u64,
}

impl Leftover {
    /// Waits for the leases to end, which takes at most `lease_end`, removes every object of the
    /// bucket, and returns everything that is not free afterwards.
    pub(crate) fn of(
        daemon: &Daemon,
        bucket: &str,
        lease_end: Duration,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let quiet =
            |stats: &StatsReply| stats.leases == 0 && stats.writes == 0 && stats.quarantined == 0;
        let limit = lease_end + EMPTY_WITHIN;
        wait_for(daemon, interrupt, limit, quiet)?;
        daemon.remove_all(bucket)?;
        let clean = |stats: &StatsReply| quiet(stats) && stats.free == stats.capacity;
        let stats = wait_for(daemon, interrupt, limit, clean)?;
        let metric = |name: &str| daemon.metric(name).map(|value| value as u64);
        Ok(Self {
            leases: stats.leases.max(metric("kvlease_leases_live")?),
            writes: stats.writes.max(metric("kvlease_writes_in_flight")?),
            objects: stats.objects.max(metric("kvlease_objects")?),
            stored: stats.stored,
            quarantined: stats.quarantined.max(metric("kvlease_quarantined_bytes")?),
            unpopulated: stats.capacity - stats.populated,
            leaked: stats.capacity - stats.free.min(metric("kvlease_free_bytes")?),
        })
    }

    /// Number of leases, uploads and objects.
    pub fn things(&self) -> u64 {
        self.leases + self.writes + self.objects
    }
}

/// Waits for a state that is as wanted, at most for `limit`, and returns the last one.
fn wait_for(
    daemon: &Daemon,
    interrupt: &Interrupt,
    limit: Duration,
    wanted: impl Fn(&StatsReply) -> bool,
) -> anyhow::Result<StatsReply> {
    let reached = until(limit, || match interrupt.check().and_then(|()| daemon.stats()) {
        Ok(stats) if !wanted(&stats) => None,
        outcome => Some(outcome),
    });
    reached.unwrap_or_else(|| daemon.stats())
}
