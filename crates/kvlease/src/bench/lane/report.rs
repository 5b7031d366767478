//! Figures of the fast lane.

use std::fmt::Write as _;

use kvlease_client::ByteSize;
use serde::Serialize;

use crate::text::{human_size, optional};

/// Everything that was measured over the fast lane.
#[derive(Debug, Serialize)]
pub(in super::super) struct LaneReport {
    /// Reason why figures are missing; absent if they exist.
    missing: Option<String>,
    /// A lease and its release over HTTP in the same rounds, median in microseconds.
    http_lease_release_us: f64,
    /// One row for each kind of call and number of keys.
    calls: Vec<LaneCallRow>,
    /// One row for each size and batch.
    transfers: Vec<LaneTransferRow>,
}

/// Latency of one kind of call; medians over rounds.
#[derive(Debug, Serialize)]
pub(super) struct LaneCallRow {
    /// Which call.
    pub(super) operation: &'static str,
    /// Keys in each call.
    pub(super) keys: usize,
    /// Median latency of a call in microseconds.
    pub(super) p50_us: f64,
    /// The same for each of its keys.
    pub(super) us_per_key: f64,
    /// Time of a lease and its release over HTTP, as a multiple of it.
    pub(super) http_times: Option<f64>,
}

/// Rates of moving objects of one size in batches; medians over rounds, with GB of 10^9 bytes.
#[derive(Debug, Serialize)]
pub(in super::super) struct LaneTransferRow {
    /// Length of an object in bytes.
    pub(in super::super) size: u64,
    /// Objects that are asked for, or stored, at a time.
    pub(in super::super) batch: usize,
    /// Objects that a round moved.
    pub(in super::super) objects_per_round: usize,
    /// libc memcpy from heap to heap, on one thread.
    pub(in super::super) memcpy_gb_per_s: f64,
    /// Acquire, copy with checksum from the arena to the heap, release; on one thread.
    pub(in super::super) get_gb_per_s: f64,
    /// Get by memcpy of the same round.
    pub(in super::super) get_ratio: f64,
    /// The same without a lease, by the published index, by memcpy of the same round.
    pub(in super::super) index_get_ratio: f64,
    /// The same into memory 16 bytes behind a cache line, as that of malloc and of Python's `bytes` is;
    /// all others are copies to whole lines.
    pub(in super::super) unaligned_get_ratio: f64,
    /// A client's first read of each page by the published index, by a later one of the same round.
    pub(in super::super) first_get_ratio: f64,
    /// Reserve, copy with checksum from the heap to the arena, commit; on one thread.
    pub(in super::super) put_gb_per_s: f64,
    /// Put by memcpy of the same round.
    pub(in super::super) put_ratio: f64,
    /// The same without waiting for the answers, with a wait for all at the end; absent for batches.
    pub(in super::super) post_ratio: Option<f64>,
    /// Processor time of daemon and client for puts; absent if the daemon's process is not known.
    pub(in super::super) put_cpu_ms_per_gb: Option<f64>,
    /// An object as a view, and its end.
    pub(in super::super) view_us_per_key: f64,
}

impl LaneReport {
    /// A report of these figures.
    pub(super) fn new(
        http_lease_release_us: f64,
        calls: Vec<LaneCallRow>,
        transfers: Vec<LaneTransferRow>,
    ) -> Self {
        Self { missing: None, http_lease_release_us, calls, transfers }
    }

    /// A report without figures, with the reason.
    pub(super) fn missing(why: impl Into<String>) -> Self {
        let missing = Some(why.into());
        Self { missing, ..Self::new(0.0, Vec::new(), Vec::new()) }
    }

    /// Appends the tables.
    pub(in super::super) fn write(&self, text: &mut String) {
        if let Some(why) = &self.missing {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nNo figures of the fast lane: {why}.");
            return;
        }
        text.push_str("\nfast lane         keys   p50 us   us a key   HTTP times\n");
        for row in &self.calls {
            let _ = writeln!(
                text,
                "{:<16} {:>5} {:>8.1} {:>10.3} {:>12}",
                row.operation,
                row.keys,
                row.p50_us,
                row.us_per_key,
                optional(row.http_times, 0),
            );
        }
        let _ = writeln!(
            text,
            "HTTP times: a lease and its release over HTTP, {:.1} us in these rounds, by us a key.\n",
            self.http_lease_release_us
        );
        self.write_transfers(text);
    }

    fn write_transfers(&self, text: &mut String) {
        text.push_str(
            "    size batch   memcpy      get    ratio  by index unaligned  1st read      put    ratio  posted  CPU of both      view\n\
            \x20                  GB/s     GB/s              ratio     ratio  by later     GB/s            ratio    ms/GB put  us a key\n",
        );
        for row in &self.transfers {
            let _ = writeln!(
                text,
                "{:>8} {:>5} {:>8.2} {:>8.2} {:>8.2} {:>9.2} {:>9.2} {:>9.2} {:>8.2} {:>8.2} {:>7} {:>12} {:>9.2}",
                human_size(ByteSize::new(row.size)),
                row.batch,
                row.memcpy_gb_per_s,
                row.get_gb_per_s,
                row.get_ratio,
                row.index_get_ratio,
                row.unaligned_get_ratio,
                row.first_get_ratio,
                row.put_gb_per_s,
                row.put_ratio,
                optional(row.post_ratio, 2),
                optional(row.put_cpu_ms_per_gb, 0),
                row.view_us_per_key,
            );
        }
        text.push_str("One client on one thread, checksums on both ways.\n");
    }
}
