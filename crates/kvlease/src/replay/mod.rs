//! `kvlease replay`: the prefix hits that a trace of requests would have, by eviction policy and capacity.
//!
//! A request asks for the blocks of its prompt, in their order. The blocks at its front that the cache has
//! are hits: an engine does not compute them again. After that it has all of them in the cache. The
//! policies are those of the daemon; the bound is that of a cache that knows the future
//! ([`optimum`]).

mod args;
mod optimum;
mod report;
mod sweep;
mod trace;

pub(crate) use args::ReplayArgs;

use crate::failure::Failure;
use report::{ReplayReport, TraceReport};
use trace::Trace;

/// Replays the traces, and shows the hits.
pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let mut traces = Vec::new();
    for path in &args.files {
        let trace = Trace::open(path)?;
        let capacities = args.capacities(trace.blocks());
        let rows = sweep::run(&trace, &capacities, &args.policies);
        traces.push(TraceReport::new(path, &trace, args, capacities, rows));
    }
    let report = ReplayReport { version: env!("CARGO_PKG_VERSION"), traces };
    #[cfg(feature = "plot")]
    if let Some(dir) = &args.plot {
        let figures: Vec<_> = report.traces.iter().map(TraceReport::figure).collect();
        crate::curves::plot::draw(dir, &figures, "kvlease replay")?;
    }
    report.print(args.json)
}
