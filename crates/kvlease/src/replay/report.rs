//! The hits, for people and for programs.

use std::{fmt::Write as _, path::Path};

use kvlease_client::ByteSize;
use serde::Serialize;

use super::{args::BlockSize, sweep::Row, trace::Trace};
use crate::{
    failure::Failure,
    text::{human_size, print, printable},
};

/// Width of a column of figures, and of the names before them.
const COLUMN: usize = 10;
const NAMES: usize = 14;

/// Everything that was simulated. With `--json` it is printed as it is.
#[derive(Debug, Serialize)]
pub(super) struct ReplayReport {
    /// Version of the program.
    pub(super) version: &'static str,
    pub(super) traces: Vec<TraceReport>,
}

/// Hits of a trace.
#[derive(Debug, Serialize)]
pub(super) struct TraceReport {
    file: String,
    requests: usize,
    /// Blocks of all prompts.
    references: u64,
    /// Distinct blocks.
    blocks: u32,
    /// Calls of a capture, and those that are missing in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_dropped: Option<u64>,
    /// Tokens of a block.
    block_tokens: u32,
    /// Bytes of a block.
    block_size: u64,
    /// Capacities in blocks, ascending.
    capacities: Vec<u32>,
    policies: Vec<PolicyReport>,
}

/// Hits of a policy, for each capacity.
#[derive(Debug, Serialize)]
struct PolicyReport {
    policy: &'static str,
    /// Blocks at the front of prompts that were there.
    hits: Vec<u64>,
    /// Hits by all references.
    hit_ratio: Vec<f64>,
    /// Tokens that need not be computed.
    tokens_saved: Vec<u64>,
    /// Bytes of KV that need not be computed.
    bytes_saved: Vec<u64>,
}

impl TraceReport {
    pub(super) fn new(
        path: &Path,
        trace: &Trace,
        size: BlockSize,
        capacities: Vec<u32>,
        rows: Vec<Row>,
    ) -> Self {
        let references = trace.references();
        let policy = |Row { policy, hits }: Row| {
            let of_hits = |of: u64| hits.iter().map(|hits| hits.saturating_mul(of)).collect();
            PolicyReport {
                policy,
                hit_ratio: hits.iter().map(|hits| *hits as f64 / references as f64).collect(),
                tokens_saved: of_hits(size.tokens.into()),
                bytes_saved: of_hits(size.bytes),
                hits,
            }
        };
        Self {
            file: path.display().to_string(),
            requests: trace.requests().len(),
            references,
            blocks: trace.blocks(),
            calls: trace.tally().map(|tally| tally.calls),
            calls_dropped: trace.tally().map(|tally| tally.dropped),
            block_tokens: size.tokens,
            block_size: size.bytes,
            policies: rows.into_iter().map(policy).collect(),
            capacities,
        }
    }

    /// The curves of the policies.
    #[cfg(feature = "plot")]
    pub(super) fn figure(&self) -> crate::curves::Figure {
        let stem = Path::new(&self.file).file_stem().unwrap_or_default().to_string_lossy();
        let mut figure = crate::curves::Figure::new(
            format!("replay-{stem}"),
            format!("Prefix hits, {stem}"),
            "bytes",
            "% of all blocks asked for",
        );
        for policy in &self.policies {
            for (capacity, ratio) in self.capacities.iter().zip(&policy.hit_ratio) {
                let x = f64::from(*capacity) * self.block_size as f64;
                figure.add(policy.policy, x, ratio * 100.0);
            }
        }
        figure
    }

    fn write(&self, text: &mut String) {
        let Self { requests, references, blocks, block_size, .. } = self;
        let size = |blocks: u64| human_size(ByteSize::new(blocks.saturating_mul(*block_size)));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{}: {requests} requests for {references} blocks, {blocks} of them distinct ({})",
            printable(&self.file),
            size(u64::from(*blocks))
        );
        if let (Some(calls), Some(dropped)) = (self.calls, self.calls_dropped) {
            let _ = writeln!(text, "a capture of {calls} calls; {dropped} are missing in it");
        }
        let mut line = |name: &str, cell: &dyn Fn(usize) -> String| {
            let cells = (0..self.capacities.len()).map(|at| format!("{:>COLUMN$}", cell(at)));
            let cells: String = cells.collect();
            let _ = writeln!(text, "{}", format!("{name:<NAMES$}{cells}").trim_end());
        };
        line("capacity", &|at| size(self.capacities[at].into()));
        line("of the blocks", &|at| {
            format!("{:.1} %", f64::from(self.capacities[at]) * 100.0 / f64::from(*blocks))
        });
        for policy in &self.policies {
            line(policy.policy, &|at| format!("{:.1} %", policy.hit_ratio[at] * 100.0));
        }
        line("tokens saved", &|_| String::new());
        for policy in &self.policies {
            line(policy.policy, &|at| format!("{:.2} M", policy.tokens_saved[at] as f64 / 1e6));
        }
    }
}

impl ReplayReport {
    /// Prints it to stdout.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        print(self, Self::table, json)
    }

    fn table(&self) -> String {
        let mut text = format!(
            "kvlease {}, prefix hits: blocks at the front of prompts that are there, of all blocks \
             asked for\n",
            self.version
        );
        self.traces.iter().for_each(|trace| trace.write(&mut text));
        text
    }
}
