//! `kvlease config`: looks at the configuration of a daemon without starting one.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use kvlease_server::{ServeArgs, config};

use crate::failure::{Failure, Status};

/// The arguments of `config`.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Check a TOML file by itself, without variables of the environment
    #[command(after_help = "\
Examples:
  kvlease config check /etc/kvlease.toml

Exit statuses: 0 the daemon takes the file; 64 it refuses it.")]
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Checks the file.
pub(crate) fn run(args: ConfigArgs) -> Result<(), Failure> {
    let ConfigCommand::Check { file } = args.command;
    let shown = file.display().to_string();
    let args = ServeArgs { config: Some(file), ..ServeArgs::default() };
    let checked = config::load(&args, []).and_then(|config| config.socket_path());
    checked.map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
    writeln!(stdout(), "{shown}: the daemon takes it").map_err(Failure::stdout)
}
