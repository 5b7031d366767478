//! Signals that end the daemon, heard from the beginning of a start on.

use std::{fmt, fs, io};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask a process to end.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` where the parent set it to be ignored, as `nohup` does, and where it does not ask to end.
    hangup: Option<Signal>,
}

/// One of [`StopSignals`]; prints its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopSignal {
    /// `SIGHUP`, of a terminal that was closed.
    Hangup,
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
}

impl StopSignals {
    /// Takes the signals, for the whole process and to its end. A file that may not grow is an error
    /// from here on, and not the process's end.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O.
    pub fn listen() -> io::Result<Self> {
        // The handler stays when the stream is dropped.
        drop(signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        let hangup = match is_ignored(Number::HUP) {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    /// The same without `SIGHUP`, for a daemon that reads files again then. The signal ends nothing any
    /// more.
    #[must_use]
    pub fn without_hangup(self) -> Self {
        // The handler stays when the stream is dropped.
        Self { hangup: None, ..self }
    }

    /// The next signal, once it comes.
    pub async fn next(&mut self) -> StopSignal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = hangup => StopSignal::Hangup,
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// True if the process ignores the signal: the parent passed that on.
fn is_ignored(signal: Number) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

/// Looks for the signal in the mask of `SigIgn`, whose lowest bit is signal 1.
fn ignores(status: &str, signal: Number) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_the_kernel_is_read_by_the_number_of_the_signal() {
        let status = "Name:\tkvlease\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, Number::HUP));
        assert!(ignores(status, Number::PIPE));
        assert!(!ignores(status, Number::INT) && !ignores("", Number::HUP));
    }
}
