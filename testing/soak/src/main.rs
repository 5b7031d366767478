//! `kvlease-soak`: races clients against a daemon of its own and kills them on the way.
//!
//! Exit status 0 without faults, 1 if a byte was wrong or not free at the end, 2 without a verdict.

#![forbid(unsafe_code)]

use std::{
    fmt::Display,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Parser, Subcommand};
use kvlease_soak::{
    drill::{self, HolderArgs, UploaderArgs},
    interference::{self, InterferenceArgs},
    neighbour::{self, Attack},
    restarts::{self, RestartsArgs},
    scribble::{self, ScribbleArgs},
    soak::{self, ClientArgs, Role, SoakArgs},
    tiers::{self, TiersArgs},
    world::{self, WorldArgs},
};
use kvlease_testing::mix;
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

/// Other programs, and the processes that the soak and the drills start this executable as.
#[derive(Subcommand, Debug)]
enum Part {
    /// Times clients of HTTP alone, beside many of the fast lane, and beside others
    #[command(name = "beside")]
    Interference(InterferenceArgs),
    /// Kills the daemon again and again, and checks that its objects are still there
    Restarts(RestartsArgs),
    /// Kills the daemon and reboots over a tier on disk, while objects go there and come back
    Tiers(TiersArgs),
    /// Lets a client write garbage all over the arena, while others store and read
    Scribble(ScribbleArgs),
    /// Lets two daemons, clients of all kinds and strangers go on in any order, from one seed
    World(WorldArgs),
    /// A client of a soak
    #[command(hide = true)]
    Client {
        role: Role,
        #[command(flatten)]
        args: ClientArgs,
    },
    /// A drill process that keeps a lease
    #[command(hide = true)]
    Hold(HolderArgs),
    /// A drill process in the middle of a store
    #[command(hide = true)]
    StoreHalf(UploaderArgs),
    /// A neighbour that attacks a daemon
    #[command(hide = true, subcommand)]
    Neighbour(Attack),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.part {
        None => run_soak(&cli),
        Some(Part::Interference(args)) => run_interference(args, cli.json),
        Some(Part::Restarts(args)) => run_restarts(args, cli.json),
        Some(Part::Tiers(args)) => run_tiers(args, cli.json),
        Some(Part::Scribble(args)) => run_scribble(args, cli.json),
        Some(Part::World(args)) => run_world(args, cli.json),
        Some(Part::Client { role, args }) => {
            soak::run_client(*role, args).map(|()| ExitCode::SUCCESS)
        }
        Some(Part::Hold(args)) => drill::hold(args).map(|()| ExitCode::SUCCESS),
        Some(Part::StoreHalf(args)) => drill::store_half(args).map(|()| ExitCode::SUCCESS),
        Some(Part::Neighbour(attack)) => neighbour::attack(attack).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("kvlease-soak: {error:#}");
        NO_VERDICT.into()
    })
}

fn run_soak(cli: &Cli) -> anyhow::Result<ExitCode> {
    let report = soak::run(&cli.soak, seed(cli.soak.seed))?;
    print(&report, &report.faults(), cli.json)
}

fn run_interference(args: &InterferenceArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = interference::run(args, seed(args.seed))?;
    print(&report, &report.faults(), json)
}

fn run_restarts(args: &RestartsArgs, json: bool) -> anyhow::Result<ExitCode> {
    if !args.objects.is_empty() {
        let report = restarts::measure(args)?;
        return print(&report, &report.faults(), json);
    }
    let report = restarts::run(args, seed(args.seed))?;
    print(&report, &report.faults(), json)
}

fn run_tiers(args: &TiersArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = tiers::run(args, seed(args.seed))?;
    print(&report, &report.faults(), json)
}

fn run_scribble(args: &ScribbleArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = scribble::run(args, seed(args.seed))?;
    print(&report, &report.faults(), json)
}

fn run_world(args: &WorldArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = world::run(args, seed(args.seed))?;
    print(&report, &report.faults(), json)
}

fn print(
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

/// Configured seed, or a new one. It is printed first, so that even a soak that hangs can be
/// repeated.
fn seed(configured: Option<u64>) -> u64 {
    let seed = configured.unwrap_or_else(any_seed);
    eprintln!("kvlease-soak: --seed {seed}");
    seed
}

fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    mix(since.map_or(0, |since| since.as_nanos() as u64))
}
