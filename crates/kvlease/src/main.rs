//! The command line of kvlease: the daemon, a few commands for people who look into it or try it,
//! and the benchmark.
//!
//! Exit statuses are in [`failure`]; every failure is one line on stderr that names the remedy.

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod cli;
mod commands;
mod failure;
mod progress;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    failure::Status,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
        Command::Bench(args) => bench::run(&cli.daemon, args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kvlease: {failure}");
            failure.status.into()
        }
    }
}

/// Help and version are answers; everything else is a mistake in the command line, reported in one
/// line as every failure is.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nothing can be reported to a closed stdout.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("kvlease: {line}; see `kvlease --help`");
    Status::Usage.into()
}
