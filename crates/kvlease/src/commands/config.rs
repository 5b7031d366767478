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
    let refused = |error: config::ConfigError| Failure::new(Status::Usage, error.to_string());
    let (checked, notes) = config::load_with_notes(&args, []).map_err(refused)?;
    checked.socket_path().map_err(refused)?;
    let mut output = stdout();
    for note in notes {
        writeln!(output, "{shown}: {note}").map_err(Failure::stdout)?;
    }
    writeln!(output, "{shown}: the daemon takes it").map_err(Failure::stdout)
}
