//! The command line of kvlease: the daemon, a few commands for people who look into it or try it,
//! the benchmark, and the replay of traces.
//!
//! Exit statuses are in [`failure`]. A failure is one line on stderr that names the remedy; a mistake
//! in the command line has the usage behind it.

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod cli;
mod commands;
mod curves;
mod failure;
mod interrupt;
mod metrics;
mod nodes;
mod progress;
mod replay;
mod stall;
mod text;
mod top;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command},
    failure::Status,
};

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let outcome = match cli.command {
        Command::Serve(args) => return commands::serve::run(args),
        Command::Put(args) => commands::put::run(&cli.daemon, args),
        Command::Get(args) => commands::get::run(&cli.daemon, args),
        Command::Stat(args) => commands::stat::run(&cli.daemon, args),
        Command::Ls(args) => commands::ls::run(&cli.daemon, args),
        Command::Rm(args) => commands::rm::run(&cli.daemon, args),
        Command::Bucket(args) => commands::bucket::run(&cli.daemon, args),
        Command::Status(args) => commands::status::run(&cli.daemon, &args),
        Command::Top(args) => top::run(&cli.daemon, &args),
        Command::Watch(args) => commands::watch::run(&cli.daemon, &args),
        Command::Curve(args) => commands::curve::run(&cli.daemon, &args),
        Command::Doctor(args) => return commands::doctor::run(&cli.daemon, &args),
        Command::Segment(args) => return commands::segment::run(args),
        Command::Bench(args) => bench::run(&cli.daemon, args),
        Command::Replay(args) => replay::run(&cli.daemon, &args),
        Command::Tenant(args) => commands::tenant::run(args),
        Command::Config(args) => commands::config::run(args),
        Command::Completion(args) => {
            commands::shell::complete(&args, Cli::with_client_options_apart())
        }
        Command::Man(args) => {
            commands::shell::write_manual(&args, Cli::with_client_options_apart())
        }
        Command::BenchClient(args) => bench::run_client(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.status != Status::ReaderGone {
                text::note(format_args!("kvlease: {failure}"));
            }
            failure.status.into()
        }
    }
}

/// Help and version are answers. Everything else is a mistake in the command line: clap reports it
/// with the nearest name and the usage.
fn refuse(error: &clap::Error) -> ExitCode {
    // Nothing can be reported to a closed stdout or stderr.
    let _ = error.print();
    match error.use_stderr() {
        true => Status::Usage.into(),
        false => ExitCode::SUCCESS,
    }
}
