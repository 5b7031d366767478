//! `kvlease bench --scale`: how the cost of a call, of an object and of a client grows.
//!
//! The sections are [`objects`], [`clients`] and [`sizes`]. Each makes figures, which are shown as
//! tables and drawn as curves. Every point has its bytes or its time given, so a sweep takes minutes.

mod clients;
mod figure;
mod objects;
#[cfg(feature = "plot")]
mod plot;
mod process;
mod report;
mod sizes;
mod worker;

pub(crate) use worker::{WorkerArgs, run as run_client};

use indicatif::ProgressBar;
use kvlease_client::{BucketName, ByteSize};

use super::{
    BenchArgs, plan,
    session::{Interrupted, Session},
};
use crate::{
    arguments::DaemonArgs,
    failure::{Failure, Status},
    progress,
};
use figure::Figure;
use report::ScaleReport;

/// A sweep under way.
struct Sweep<'a> {
    args: &'a BenchArgs,
    bucket: BucketName,
    interrupted: Interrupted,
    progress: ProgressBar,
    left_out: Vec<String>,
}

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
        plot::draw(dir, &report)?;
    }
    report.print(args.json)
}

impl Sweep<'_> {
    /// A daemon with this arena and this limit of its catalog, for rows of these sizes.
    fn session(
        &self,
        capacity: ByteSize,
        catalog: Option<ByteSize>,
        sizes: &[ByteSize],
    ) -> Result<Session, Failure> {
        let bucket = self.bucket.clone();
        let daemon = (capacity, catalog);
        Session::own(daemon, sizes, bucket, self.args.rounds, &self.interrupted)
    }

    /// Begins a step. Fails once the run was interrupted.
    fn step(&self, what: &str) -> Result<(), Failure> {
        self.progress.inc(1);
        self.progress.set_message(what.to_owned());
        self.interrupted.check()
    }

    /// Notes that something is not measured, with the reason.
    fn leave_out(&mut self, why: &str) {
        self.left_out.push(why.to_owned());
    }

    /// Whether the machine has this memory to spare. Notes the point if it has not.
    fn has_memory(&mut self, needed: ByteSize, what: &str) -> Result<bool, Failure> {
        let spare = plan::spare_memory()?;
        if needed.bytes() <= spare {
            return Ok(true);
        }
        let spare = ByteSize::mib(spare >> 20);
        let needed = ByteSize::mib(needed.bytes() >> 20);
        self.leave_out(&format!("{what}, which take {needed}, with {spare} to spare"));
        Ok(false)
    }
}
