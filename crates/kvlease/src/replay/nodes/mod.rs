//! `--nodes`: hits of several nodes, by where they were.

mod simulation;

use std::fmt::Write as _;

use kvlease_client::ByteSize;
use serde::Serialize;

use super::{args::ReplayArgs, sweep::on_all_processors, trace::Source};
use crate::{
    failure::Failure,
    text::{human_size, print, printable},
};
use simulation::Nodes;

/// Everything that was simulated. With `--json` it is printed as it is.
#[derive(Debug, Serialize)]
pub(super) struct NodesReport {
    version: &'static str,
    nodes: u32,
    routing: &'static str,
    traces: Vec<NodesTrace>,
}

/// Hits of a trace.
#[derive(Debug, Serialize)]
struct NodesTrace {
    file: String,
    requests: usize,
    references: u64,
    blocks: u32,
    block_size: u64,
    /// Room of the shared tier in blocks; `null` for everything.
    shared: Option<u32>,
    cells: Vec<Cell>,
}

/// Hits of one policy on all nodes.
#[derive(Debug, Serialize)]
struct Cell {
    policy: &'static str,
    /// Blocks that the cache of each node has room for.
    capacity: u32,
    own_hits: u64,
    shared_hits: u64,
    own_ratio: f64,
    shared_ratio: f64,
    /// From the shared tier to nodes.
    bytes_fetched: u64,
    /// From nodes to the shared tier.
    bytes_stored: u64,
}

impl NodesReport {
    /// Simulates each policy and capacity.
    pub(super) fn of(args: &ReplayArgs) -> Result<Self, Failure> {
        let nodes = args.nodes.expect("it is asked for");
        let mut traces = Vec::new();
        for source in Source::all(&args.files)? {
            let trace = source.open(args.requests)?;
            let (size, references) = (args.block_size(&trace), trace.references());
            let shared = args.shared.map(|shared| shared.in_blocks(trace.blocks(), size));
            let simulated = Nodes { count: nodes, routing: args.routing, shared };
            let capacities = args.capacities(trace.blocks(), size);
            let cells: Vec<_> = args
                .policies
                .iter()
                .flat_map(|policy| capacities.iter().map(|capacity| (*policy, *capacity)))
                .collect();
            let moves = on_all_processors(&cells, |(policy, capacity)| {
                simulated.replay(&trace, *policy, *capacity)
            });
            let ratio = |hits: u64| hits as f64 / references as f64;
            traces.push(NodesTrace {
                file: source.path().display().to_string(),
                requests: trace.requests().len(),
                references,
                blocks: trace.blocks(),
                block_size: size.bytes,
                shared,
                cells: cells
                    .iter()
                    .zip(moves)
                    .map(|((policy, capacity), moves)| Cell {
                        policy: policy.name(),
                        capacity: *capacity,
                        own_hits: moves.own,
                        shared_hits: moves.shared,
                        own_ratio: ratio(moves.own),
                        shared_ratio: ratio(moves.shared),
                        bytes_fetched: moves.shared.saturating_mul(size.bytes),
                        bytes_stored: moves.stored.saturating_mul(size.bytes),
                    })
                    .collect(),
            });
        }
        let (version, routing) = (env!("CARGO_PKG_VERSION"), args.routing.name());
        Ok(Self { version, nodes: nodes.get(), routing, traces })
    }

    /// Prints it to stdout.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        print(self, Self::table, json)
    }

    fn table(&self) -> String {
        let mut text = format!(
            "kvlease {}, prefix hits of {} nodes ({}) over a shared tier, of all blocks asked for\n",
            self.version, self.nodes, self.routing
        );
        self.traces.iter().for_each(|trace| trace.write(&mut text));
        text
    }
}

impl NodesTrace {
    fn write(&self, text: &mut String) {
        let size = |blocks: u64| human_size(ByteSize::new(blocks.saturating_mul(self.block_size)));
        let shared = self.shared.map_or("everything".to_owned(), |blocks| size(blocks.into()));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{}: {} requests for {} blocks; the shared tier has room for {shared}\n\
             {:<14}{:>12}{:>10}{:>10}{:>14}{:>14}",
            printable(&self.file),
            self.requests,
            self.references,
            "policy",
            "a node has",
            "own",
            "shared",
            "fetched",
            "stored",
        );
        for cell in &self.cells {
            let _ = writeln!(
                text,
                "{:<14}{:>12}{:>8.1} %{:>8.1} %{:>14}{:>14}",
                cell.policy,
                size(cell.capacity.into()),
                cell.own_ratio * 100.0,
                cell.shared_ratio * 100.0,
                human_size(ByteSize::new(cell.bytes_fetched)),
                human_size(ByteSize::new(cell.bytes_stored)),
            );
        }
    }
}
