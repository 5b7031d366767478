//! Command line: the arguments of all commands.

use clap::{Parser, Subcommand};
use kvlease_server::ServeArgs;

use crate::{arguments::DaemonArgs, bench::BenchArgs, commands};

/// Keeps the KV cache of LLM inference engines in shared memory
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit statuses: 0 done; 1 no such object, or put: it exists; \
    64 bad usage; 69 daemon not reachable or refusing; 74 I/O error or corrupt bytes."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// Store a file or stdin as an object
    Put(commands::put::PutArgs),
    /// Read an object into a file or to stdout
    Get(commands::get::GetArgs),
    /// Show an object's length and checksum
    Stat(commands::stat::StatArgs),
    /// List objects
    Ls(commands::ls::LsArgs),
    /// Remove objects
    Rm(commands::rm::RmArgs),
    /// Measure a daemon next to memcpy
    Bench(BenchArgs),
}
