//! Command line: the arguments of all commands.

use std::env;

use clap::{
    Args, Command as Clap, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable,
    error::ErrorKind, parser::ValueSource,
};
use kvlease_server::ServeArgs;

use crate::{
    arguments::DaemonArgs,
    bench::{BenchArgs, WorkerArgs},
    commands,
    replay::ReplayArgs,
    top::TopArgs,
};

/// Keeps the KV cache of LLM inference engines in shared memory
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "\
Examples:
  kvlease serve --capacity 64GiB
  kvlease put some/key file.bin && kvlease get some/key copy.bin
  kvlease ls --long some/
  kvlease rm --dry-run --prefix some/
  kvlease status; kvlease top; kvlease doctor

Exit statuses: 0 done; 1 no such object, or put: it exists; 64 bad usage; 69 daemon not reachable or \
refusing; 74 I/O error or corrupt bytes; 77 not allowed."
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
    /// Show and change the policies of buckets
    Bucket(commands::bucket::BucketArgs),
    /// Show the state of daemons on one screen
    Status(commands::status::StatusArgs),
    /// Show what daemons do, live in a terminal
    Top(TopArgs),
    /// Show what is stored and what leaves, as it happens
    Watch(commands::watch::WatchArgs),
    /// Show the hit ratios that a daemon would have with other capacities and policies
    Curve(commands::curve::CurveArgs),
    /// Find what is wrong around a client, or around a daemon that is to start
    Doctor(commands::doctor::DoctorArgs),
    /// Edit the tenants in a daemon's configuration
    Tenant(commands::tenant::TenantArgs),
    /// Check a daemon's configuration
    Config(commands::config::ConfigArgs),
    /// Remove what daemons left in shared memory
    Segment(commands::segment::SegmentArgs),
    /// Measure a daemon next to memcpy
    Bench(BenchArgs),
    /// Show how many prefix hits a trace would have, by eviction policy and capacity
    Replay(ReplayArgs),
    /// Print the completions of a shell
    Completion(commands::shell::CompletionArgs),
    /// Write the manual pages
    Man(commands::shell::ManArgs),
    /// Be one client process of `bench --scale`
    #[command(hide = true)]
    BenchClient(WorkerArgs),
}

/// Name of the command that is a daemon and talks to none.
const SERVE: &str = "serve";

/// Name of the command that talks to a daemon only if the command line names one, and the option that does.
const REPLAY: &str = "replay";
const URL: &str = "url";

impl Cli {
    /// Parses the arguments of this process.
    pub(crate) fn from_process() -> Result<Self, clap::Error> {
        let mut command = Self::with_client_options_apart();
        let matches = command.try_get_matches_from_mut(env::args_os())?;
        if let Some(serve) = matches.subcommand_matches(SERVE) {
            for option in client_options() {
                let id = option.get_id().as_str();
                if serve.value_source(id) == Some(ValueSource::CommandLine) {
                    let name = option.get_long().unwrap_or(id);
                    let line = format!("`kvlease serve` is the daemon, so it takes no `--{name}`");
                    return Err(command.error(ErrorKind::UnknownArgument, line));
                }
            }
        }
        let mut cli = Self::from_arg_matches(&matches)?;
        if let Command::Replay(args) = &mut cli.command {
            // A daemon that the environment names is not asked to hold a trace.
            let replay = matches.subcommand_matches(REPLAY);
            let from = replay.and_then(|replay| replay.value_source(URL));
            args.is_live = from == Some(ValueSource::CommandLine);
        }
        Ok(cli)
    }

    /// The command line with the options of clients in the help of clients only. They are accepted
    /// in front of a command and behind it; clap copies such an option to each command that has
    /// none of that name.
    pub(crate) fn with_client_options_apart() -> Clap {
        let mut command = Self::command();
        for option in client_options() {
            let is_empty = option.get_env().and_then(env::var_os).is_some_and(|v| v.is_empty());
            if is_empty {
                // A template that was left empty makes an empty variable, which is as good as none.
                command = command.mut_arg(option.get_id(), |arg| arg.env(Resettable::Reset));
            }
            let hidden = option.env(Resettable::Reset).hide(true);
            command = command.mut_subcommand(SERVE, |serve| serve.arg(hidden));
        }
        command
    }
}

/// Options of the commands that talk to a daemon.
fn client_options() -> Vec<clap::Arg> {
    DaemonArgs::augment_args(Clap::new("client")).get_arguments().cloned().collect()
}
