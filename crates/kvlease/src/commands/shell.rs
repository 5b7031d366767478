//! `kvlease completion` and `kvlease man`: what shells and readers of manuals want of the command line.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use clap::{Args, Command as Clap};
use clap_complete::Shell;

use crate::failure::Failure;

/// Name of the program in completions.
const PROGRAM: &str = "kvlease";

/// The arguments of `completion`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease completion bash > /etc/bash_completion.d/kvlease
  kvlease completion zsh > \"${fpath[1]}/_kvlease\"
  kvlease completion fish > ~/.config/fish/completions/kvlease.fish")]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completions of a shell.
pub(crate) fn complete(args: &CompletionArgs, mut command: Clap) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, PROGRAM, &mut script);
    stdout().write_all(&script).map_err(Failure::stdout)
}

/// The arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease man /usr/local/share/man/man1 && man kvlease-serve")]
pub(crate) struct ManArgs {
    /// The directory to write to; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes a page for the program and one for each command.
pub(crate) fn write_manual(args: &ManArgs, command: Clap) -> Result<(), Failure> {
    let directory = &args.directory;
    fs::create_dir_all(directory).map_err(Failure::file("make the directory", directory))?;
    clap_mangen::generate_to(command, directory)
        .map_err(Failure::file("write the manual", directory))
}
