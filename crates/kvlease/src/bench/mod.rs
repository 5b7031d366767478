//! `kvlease bench`: a daemon's rates and latencies, next to those of `memcpy` in the same run.
//!
//! Absolute figures of two machines cannot be compared, and those of one machine hardly: so every
//! round measures `memcpy` right beside the daemon, and the ratio is what counts. All rates are
//! medians over rounds, after one round that is thrown away.
//!
//! The clients are threads with a blocking socket each, since they share the machine with the
//! daemon and a call is cheapest that way. For large puts it makes no difference: the client
//! library's sender took the same processor time per GB at 16 MiB. The fast lane is measured with the
//! client library.

mod args;
mod buffers;
mod calls;
mod clients;
mod cpu;
mod daemon;
mod echo;
mod figures;
mod lane;
mod plan;
mod report;
mod scale;
mod session;
mod transfers;
mod wire;

pub(crate) use args::BenchArgs;
pub(crate) use scale::{WorkerArgs, run_client};
pub(crate) use wire::{Connection, failed};

use buffers::Buffers;
use report::Report;
use session::Session;

use crate::{arguments::DaemonArgs, failure::Failure};

/// Measures the daemon that was named, or one of its own, and prints the figures.
pub(crate) fn run(daemon: &DaemonArgs, args: BenchArgs) -> Result<(), Failure> {
    if args.scale {
        return scale::run(daemon, &args);
    }
    let mut session = Session::start(daemon, &args)?;
    let report = measure(&mut session)?;
    // The daemon's memory is given back before the figures are shown.
    drop(session);
    report.print(args.json)
}

/// Measures everything that was planned.
fn measure(session: &mut Session) -> Result<Report, Failure> {
    let plan = session.plan().clone();
    session.show_progress(
        plan.cells().len()
            + calls::STEPS * plan.clients().len()
            + lane::steps(plan.lane_cells().len()),
    );
    let mut report = Report::new(session.stats(), &session.address, session.rounds, plan.skipped());
    // Calls first, while the daemon is as fresh as for any client.
    for clients in plan.clients() {
        report.calls.extend(calls::measure(session, *clients)?);
    }
    let mut buffers = Buffers::new(plan.source_len(), plan.target_len());
    for cell in plan.cells() {
        session.progress.set_message(format!("{} x {}", cell.size, cell.clients));
        report.transfers.push(transfers::measure(session, *cell, &mut buffers)?);
        session.progress.inc(1);
    }
    report.lane = Some(lane::measure(session, &mut buffers)?);
    session.progress.finish_and_clear();
    Ok(report)
}
