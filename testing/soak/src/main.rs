//! `kvlease-soak`: races clients against a daemon of its own and kills them on the way.
//!
//! Exit status 0 if all was well, 1 if a byte was wrong or not free at the end, 2 if there was no
//! verdict.

#![forbid(unsafe_code)]

use std::{
    fmt::Display,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser, Subcommand};
use kvlease_soak::{
    actor::{self, FillerArgs, HolderArgs, LaneHolderArgs, UploaderArgs},
    beside::{self, BesideArgs},
    mix,
    restarts::{self, RestartsArgs},
    soak::{self, ClientArgs, Role, SoakArgs},
};
use serde::Serialize;

/// Exit status of a soak that found a fault.
const FAULT: u8 = 1;

/// Exit status of a soak that came to no verdict.
const NO_VERDICT: u8 = 2;

/// Races writers and readers against a kvlease daemon, far above its capacity
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    soak: SoakArgs,
    /// Print the report as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What else there is: measurements, and what the soak and the drills start this executable as.
#[derive(Subcommand, Debug)]
enum Part {
    /// Times clients of HTTP alone, beside many of the fast lane, and beside others
    Beside(BesideArgs),
    /// Kills the daemon again and again, and looks whether what it had is still there
    Restarts(RestartsArgs),
    /// A client of a soak
    #[command(hide = true)]
    Client {
        role: Role,
        #[command(flatten)]
        args: ClientArgs,
    },
    /// A process that holds a lease
    #[command(hide = true)]
    Hold(HolderArgs),
    /// A process in the middle of an upload
    #[command(hide = true)]
    UploadHalf(UploaderArgs),
    /// A process that holds a lease over the fast lane
    #[command(hide = true)]
    LaneHold(LaneHolderArgs),
    /// A process in the middle of a fill
    #[command(hide = true)]
    LaneFillHalf(FillerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.part {
        None => run_soak(&cli),
        Some(Part::Beside(args)) => run_beside(args, cli.json),
        Some(Part::Restarts(args)) => run_restarts(args, cli.json),
        Some(Part::Client { role, args }) => {
            soak::run_client(*role, args).map(|()| ExitCode::SUCCESS)
        }
        Some(Part::Hold(args)) => actor::hold(args).map(|()| ExitCode::SUCCESS),
        Some(Part::UploadHalf(args)) => actor::upload_half(args).map(|()| ExitCode::SUCCESS),
        Some(Part::LaneHold(args)) => actor::hold_over_lane(args).map(|()| ExitCode::SUCCESS),
        Some(Part::LaneFillHalf(args)) => actor::fill_half(args).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("kvlease-soak: {error:#}");
        NO_VERDICT.into()
    })
}

fn run_soak(cli: &Cli) -> anyhow::Result<ExitCode> {
    let report = soak::run(&cli.soak, seed(cli.soak.seed))?;
    tell(&report, &report.faults(), cli.json)
}

fn run_beside(args: &BesideArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = beside::run(args, seed(args.seed))?;
    tell(&report, &report.faults(), json)
}

fn run_restarts(args: &RestartsArgs, json: bool) -> anyhow::Result<ExitCode> {
    if !args.objects.is_empty() {
        let report = restarts::measure(args)?;
        return tell(&report, &report.faults(), json);
    }
    let report = restarts::run(args, seed(args.seed))?;
    tell(&report, &report.faults(), json)
}

fn tell(
    report: &(impl Serialize + Display),
    faults: &[String],
    json: bool,
) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { FAULT.into() })
}

/// The seed that was wished for, or any. It is said first, so that even a soak that hangs can be
/// repeated.
fn seed(wished: Option<u64>) -> u64 {
    let seed = wished.unwrap_or_else(any_seed);
    eprintln!("kvlease-soak: --seed {seed}");
    seed
}

fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    mix(since.map_or(0, |since| since.as_nanos() as u64))
}
