//! The figures, for people and for programs.

use std::fmt::Write as _;

use kvlease_client::{Address, ByteSize, StatsReply};
use serde::Serialize;

use super::lane::LaneReport;
use crate::{
    failure::Failure,
    text::{human_size, optional, print},
};

/// Everything that was measured. With `--json` it is printed as it is.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Version of the daemon.
    version: String,
    /// Where it listened.
    url: String,
    /// Size of its arena in bytes.
    capacity: u64,
    /// Rounds that every figure is the median of.
    rounds: usize,
    /// One row for each size and number of clients.
    pub(super) transfers: Vec<TransferRow>,
    /// One row for each kind of call and number of clients.
    pub(super) calls: Vec<CallRow>,
    /// The fast lane.
    pub(super) lane: Option<LaneReport>,
    /// Rows for which the arena or the memory is too small.
    skipped: Vec<String>,
}

/// Rates of moving objects of one size; medians over rounds, with GB of 10^9 bytes.
#[derive(Debug, Serialize)]
pub(super) struct TransferRow {
    /// Length of an object in bytes.
    pub(super) size: u64,
    /// Clients at a time.
    pub(super) clients: usize,
    /// Objects that a round moved.
    pub(super) objects_per_round: usize,
    /// libc memcpy from heap to heap, with as many threads.
    pub(super) memcpy_gb_per_s: f64,
    /// Put over HTTP.
    pub(super) put_gb_per_s: f64,
    /// Put by memcpy of the same round.
    pub(super) put_ratio: f64,
    /// Processor time of the daemon for puts; absent if its process is not known.
    pub(super) put_daemon_cpu_ms_per_gb: Option<f64>,
    /// Lease, copy from the arena to the heap, release; absent without shared memory.
    pub(super) read_gb_per_s: Option<f64>,
    /// Read by memcpy of the same round.
    pub(super) read_ratio: Option<f64>,
}

/// Latency and rate of one kind of call; medians over rounds.
#[derive(Debug, Serialize)]
pub(super) struct CallRow {
    /// Which call.
    pub(super) operation: &'static str,
    /// Clients at a time, one connection each.
    pub(super) clients: usize,
    /// Operations per second of all clients together.
    pub(super) per_s: f64,
    /// Median latency in microseconds.
    pub(super) p50_us: f64,
    /// The latency that 99 % do not exceed, in microseconds.
    pub(super) p99_us: f64,
}

impl Report {
    /// A report without figures yet.
    pub(super) fn new(
        stats: &StatsReply,
        address: &Address,
        rounds: usize,
        skipped: &[String],
    ) -> Self {
        Self {
            version: stats.version.clone(),
            url: address.to_string(),
            capacity: stats.capacity,
            rounds,
            transfers: Vec::new(),
            calls: Vec::new(),
            lane: None,
            skipped: skipped.to_vec(),
        }
    }

    /// Prints it to stdout.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        print(self, Self::table, json)
    }

    fn table(&self) -> String {
        let mut text = format!(
            "kvlease {} at {}, arena {}, medians of {} rounds; GB = 10^9 bytes\n\n",
            self.version,
            self.url,
            human_size(ByteSize::new(self.capacity)),
            self.rounds
        );
        text.push_str(
            "    size clients   memcpy      put    ratio   daemon CPU   lease+copy    ratio\n\
            \x20                    GB/s     GB/s             ms/GB put  +release GB/s\n",
        );
        for row in &self.transfers {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:>8} {:>7} {:>8.2} {:>8.2} {:>8.2} {:>12} {:>12} {:>8}",
                human_size(ByteSize::new(row.size)),
                row.clients,
                row.memcpy_gb_per_s,
                row.put_gb_per_s,
                row.put_ratio,
                optional(row.put_daemon_cpu_ms_per_gb, 0),
                optional(row.read_gb_per_s, 2),
                optional(row.read_ratio, 2),
            );
        }
        text.push_str("\ncall           clients       per s   p50 us   p99 us\n");
        for row in &self.calls {
            let _ = writeln!(
                text,
                "{:<14} {:>7} {:>11.0} {:>8.1} {:>8.1}",
                row.operation, row.clients, row.per_s, row.p50_us, row.p99_us
            );
        }
        text.push_str(
            "\nmemcpy: libc, heap to heap, as many threads as clients. Ratios: to memcpy of the \
             same round.\nSenders are blocking sockets, one thread each.\n",
        );
        if let Some(lane) = &self.lane {
            lane.write(&mut text);
        }
        if !self.skipped.is_empty() {
            let _ = writeln!(
                text,
                "Left out, since the arena or the memory is too small: {}.",
                self.skipped.join(", ")
            );
        }
        text
    }
}
