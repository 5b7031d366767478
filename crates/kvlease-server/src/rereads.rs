//! Turns in which a running daemon looks at files again: every now and then, and on SIGHUP.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// How often files are looked at. A look costs one system call for each file. Files on a network are seen to change
/// as well, and those that a symbolic link replaces, as Kubernetes does.
const PAUSE: Duration = Duration::from_secs(1);

/// Turns of one reader of files.
#[derive(Debug)]
pub(crate) struct Rereads {
    hangup: Option<Signal>,
}

impl Rereads {
    /// Turns from now on.
    pub(crate) fn new() -> Self {
        let hangup = signal(SignalKind::hangup()).inspect_err(|error| {
            tracing::warn!("SIGHUP is not heard, files are read when they change: {error}");
        });
        Self { hangup: hangup.ok() }
    }

    /// Waits for the next turn. True if it was asked for: files are then read whether they have changed or not.
    pub(crate) async fn next(&mut self) -> bool {
        let asked = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = asked => true,
            () = sleep(PAUSE) => false,
        }
    }
}
