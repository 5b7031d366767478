//! Report of all phases.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::verdict;

/// Calls and bytes of one client.
#[derive(Default, Debug)]
pub(super) struct Tally {
    /// Duration of each of its calls.
    pub(super) calls: Vec<Duration>,
    /// Bytes that it stored and read, all of the latter verified.
    pub(super) bytes: u64,
}

/// Result of one phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// Load beside the timed clients.
    pub load: String,
    /// Calls of the timed clients per second.
    pub calls_per_s: f64,
    /// Median duration in microseconds.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Longest duration.
    pub max_us: f64,
    /// Fewest calls of one of these clients.
    pub calls_min: usize,
    /// Calls of the load per second.
    pub load_calls_per_s: f64,
    /// Bytes that the load stored and read per second.
    pub load_bytes_per_s: f64,
    /// Fewest calls of one client of the load.
    pub load_calls_min: usize,
}

/// Result of all phases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterferenceReport {
    /// Seed, which replays lengths and choices.
    pub seed: u64,
    /// Timed clients of HTTP.
    pub http_clients: usize,
    /// Clients beside them.
    pub load_clients: usize,
    /// The phases.
    pub phases: Vec<Phase>,
    /// Leases, pending and sealed objects that were left after the clients had ended.
    pub left_at_end: u64,
    /// Exit status of the daemon after `SIGTERM`; none if a signal ended it.
    pub daemon_status: Option<i32>,
}

impl Phase {
    pub(super) fn new(load: &str, span: Duration, timed: Vec<Tally>, beside: Vec<Tally>) -> Self {
        let fewest = |tallies: &[Tally]| tallies.iter().map(|tally| tally.calls.len()).min();
        let calls_min = fewest(&timed).unwrap_or(0);
        let load_calls_min = fewest(&beside).unwrap_or(0);
        let load_calls: usize = beside.iter().map(|tally| tally.calls.len()).sum();
        let load_bytes: u64 = beside.iter().map(|tally| tally.bytes).sum();
        let mut calls: Vec<_> = timed.into_iter().flat_map(|tally| tally.calls).collect();
        calls.sort_unstable();
        let at = |share: f64| {
            let rank = (calls.len() as f64 * share).ceil() as usize;
            calls.get(rank.saturating_sub(1)).map_or(0.0, |call| call.as_secs_f64() * 1e6)
        };
        Self {
            load: load.to_owned(),
            calls_per_s: calls.len() as f64 / span.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
            calls_min,
            load_calls_per_s: load_calls as f64 / span.as_secs_f64(),
            load_bytes_per_s: load_bytes as f64 / span.as_secs_f64(),
            load_calls_min,
        }
    }
}

impl InterferenceReport {
    /// Faults, in one line each. Durations are for people to judge.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for phase in &self.phases {
            let idle = phase.load_calls_min == 0 && phase.load != self.phases[0].load;
            if phase.calls_min == 0 || idle {
                faults.push(format!("a client made no call: {}", phase.load));
            }
        }
        if self.left_at_end > 0 {
            faults.push(format!("leases or objects are left: {}", self.left_at_end));
        }
        if self.daemon_status != Some(0) {
            faults.push(format!("exit status of the daemon: {:?}", self.daemon_status));
        }
        faults
    }
}

impl fmt::Display for InterferenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http_clients, load_clients, .. } = self;
        writeln!(f, "{http_clients} clients of HTTP, timed; {load_clients} clients beside them")?;
        writeln!(
            f,
            "{:<22}{:>9}{:>9}{:>9}{:>10}{:>12}{:>10}{:>14}",
            "", "calls/s", "p50 us", "p99 us", "max us", "load/s", "GB/s", "fewest calls"
        )?;
        for phase in &self.phases {
            writeln!(
                f,
                "{:<22}{:>9.0}{:>9.0}{:>9.0}{:>10.0}{:>12.0}{:>10.2}{:>14}",
                phase.load,
                phase.calls_per_s,
                phase.p50_us,
                phase.p99_us,
                phase.max_us,
                phase.load_calls_per_s,
                phase.load_bytes_per_s / 1e9,
                format!("{}, {}", phase.calls_min, phase.load_calls_min),
            )?;
        }
        verdict::verdict(f, &self.faults())
    }
}
