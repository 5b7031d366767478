//! `kvlease serve`: runs the daemon until it is told to stop.

use std::process::ExitCode;

use kvlease_server::ServeArgs;

/// Runs the daemon.
pub(crate) fn run(args: ServeArgs) -> ExitCode {
    kvlease_server::run(args)
}
