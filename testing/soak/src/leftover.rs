//! Whether a daemon is empty once its clients are gone.

use std::time::Duration;

use kvlease_client::StatsReply;
use serde::{Deserialize, Serialize};

use crate::{daemon::Daemon, interrupt::Interrupt, wait::until};

/// How long the daemon may take beyond the last lease to be empty: far longer than one turn of its
/// reaper.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// What was left when all objects were removed and all leases had ended: all zero, if all is well.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Leftover {
    /// Live leases.
    pub leases: u64,
    /// Unfinished uploads.
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
    /// Waits for the leases to end, which takes `lease_end` at most, removes every object of the
    /// bucket, and tells what is not free afterwards.
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

    /// Leases, uploads and objects.
    pub fn things(&self) -> u64 {
        self.leases + self.writes + self.objects
    }
}

/// Waits until the state is as wanted, at most for `limit`, and returns the last one.
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
