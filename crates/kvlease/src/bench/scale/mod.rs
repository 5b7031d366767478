//! `kvlease bench --scale`: how the cost of a call, of an object and of a client grows.
//!
//! The sections are [`objects`], [`clients`] and [`sizes`]. Each makes figures, which are shown as
//! tables and drawn as curves. Every point has its bytes or its time given, so a sweep takes minutes.

mod clients;
mod objects;
mod process;
mod report;
mod sizes;
mod sweep;
mod worker;

pub(crate) use worker::{WorkerArgs, run as run_client};

use super::{args::BenchArgs, session::Interrupted};
use crate::{
    arguments::DaemonArgs,
    curves::{self, Figure},
    failure::{Failure, Status},
    progress,
};
use report::ScaleReport;
use sweep::Sweep;

/// Measures all sections and shows them.
pub(super) fn run(daemon: &DaemonArgs, args: &BenchArgs) -> Result<(), Failure> {
    if daemon.named()?.is_some() {
        let text = "`--scale` starts daemons of its own: leave out `--url` and unset `KVLEASE_URL`";
        return Err(Failure::new(Status::Usage, text));
    }
    let steps = args.objects.len() + args.clients.len() + args.connections.len() + args.sizes.len();
    let mut sweep = Sweep {
        args,
        bucket: daemon.bucket()?,
        interrupted: Interrupted::watch()?,
        progress: progress::steps(steps),
        left_out: Vec::new(),
    };
    let sections = [objects::measure, clients::measure, sizes::measure];
    let mut figures: Vec<Figure> = Vec::new();
    for section in sections {
        figures.extend(section(&mut sweep)?);
    }
    sweep.progress.finish_and_clear();
    figures.retain(|figure| !figure.series.is_empty());
    let report = ScaleReport {
        version: env!("CARGO_PKG_VERSION"),
        processor: process::processor(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        rounds: args.rounds,
        figures,
        left_out: sweep.left_out,
    };
    #[cfg(feature = "plot")]
    if let Some(dir) = &args.plot {
        let below = format!("{} cores of {}", report.cores, report.processor);
        curves::plot::draw(dir, &report.figures, &below)?;
    }
    report.print(args.json)
}
