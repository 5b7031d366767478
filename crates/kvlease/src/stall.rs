//! Transfers that do not move: a server that accepts and says nothing.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use kvlease_client::Error;
use tokio::time::sleep;

use crate::failure::{Failure, Status};

/// Longest time without a byte; longer than the daemon's own for an upload.
const STALL_MAX: Duration = Duration::from_secs(15);

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Outcome of `call`, unless the bar stays where it is for too long. `awaited` is what the daemon
/// owes.
pub(crate) async fn unless_stalled<T>(
    bar: &ProgressBar,
    awaited: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    let mut call = pin!(call);
    let (mut position, mut moved) = (bar.position(), Instant::now());
    loop {
        tokio::select! {
            outcome = &mut call => return Ok(outcome?),
            () = sleep(POLL_INTERVAL) => {}
        }
        if position != bar.position() {
            (position, moved) = (bar.position(), Instant::now());
        }
        if moved.elapsed() > STALL_MAX {
            let limit = STALL_MAX.as_secs();
            return Err(Failure::new(
                Status::Unavailable,
                format!(
                    "the daemon is silent: check that the url is a daemon's and that it is not \
                     stopped, waited {limit} s for {awaited}"
                ),
            ));
        }
    }
}
