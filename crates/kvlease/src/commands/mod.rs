//! The commands for people, one module each.

pub(crate) mod bucket;
pub(crate) mod config;
pub(crate) mod curve;
pub(crate) mod doctor;
pub(crate) mod get;
pub(crate) mod ls;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod segment;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod tenant;
pub(crate) mod watch;

use std::future::Future;

use tokio::runtime;

pub(crate) use status::account;

use crate::failure::{Failure, Status};

/// Runs a command's calls to their end, on this thread.
fn wait_for<T>(calls: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(Status::Io, format!("cannot start: raise the limits of this process, {error}"))
    })?;
    let outcome = runtime.block_on(calls);
    // A read from stdin whose result is no longer needed must not delay the exit.
    runtime.shutdown_background();
    outcome
}
