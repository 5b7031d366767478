//! `kvlease replay`: the prefix hits that a trace of requests would have, by eviction policy and capacity.
//!
//! A request asks for the blocks of its prompt, in their order. The blocks at its front that the cache has
//! are hits: an engine does not compute them again. After that it has all of them in the cache. The
//! policies are those of the daemon; the bound is that of a cache that knows the future
//! ([`optimum`]). Several [nodes] share a tier, and a [running daemon](live) is asked as engines ask.

mod args;
mod live;
mod nodes;
mod optimum;
mod report;
mod sweep;
mod terms;
mod trace;

pub(crate) use args::ReplayArgs;

use crate::{arguments::DaemonArgs, failure::Failure};
use nodes::NodesReport;
use report::{ReplayReport, TraceReport};
use trace::Source;

/// Replays the traces, and shows the hits.
pub(crate) fn run(daemon: &DaemonArgs, args: &ReplayArgs) -> Result<(), Failure> {
    if args.is_live {
        return live::run(daemon, args);
    }
    if args.nodes.is_some() {
        return NodesReport::of(args)?.print(args.json);
    }
    let mut traces = Vec::new();
    for source in Source::all(&args.files)? {
        let trace = source.open(args.requests)?;
        let size = args.block_size(&trace);
        let capacities = args.capacities(trace.blocks(), size);
        let rows = sweep::run(&trace, &capacities, &args.policies);
        traces.push(TraceReport::new(source.path(), &trace, size, capacities, rows));
    }
    let report = ReplayReport { version: env!("CARGO_PKG_VERSION"), traces };
    #[cfg(feature = "plot")]
    if let Some(dir) = &args.plot {
        let figures: Vec<_> = report.traces.iter().map(TraceReport::figure).collect();
        crate::curves::plot::draw(dir, &figures, "kvlease replay")?;
    }
    report.print(args.json)
}
