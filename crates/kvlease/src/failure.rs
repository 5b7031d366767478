//! How commands fail: one line for people, one exit status for scripts.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done, or the reader of stdout went away |
//! | 1 | the object does not exist; for `put`: it exists already |
//! | 64 | the command line or a name in it is malformed, or the daemon refuses the request as such |
//! | 69 | the daemon is not reachable, is no such daemon, or cannot take the request now |
//! | 74 | reading or writing failed, or the bytes are corrupt |
//! | 77 | the daemon does not know this client, or does not let it do that |
//! | 129, 130, 131, 143 | `get` or `bench` was ended by SIGHUP, SIGINT, SIGQUIT or SIGTERM |
//!
//! 64 to 77 are those of `sysexits.h`.

use std::{fmt, io, path::Path, process::ExitCode};

use kvlease_client::{Error, ErrorCode, with_causes};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    message: String,
}

/// The exit status of a failed command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// The reader of stdout went away, which is no fault and is not reported.
    ReaderGone = 0,
    /// An object is absent, or present where it must not be.
    Absent = 1,
    /// `EX_USAGE`.
    Usage = 64,
    /// `EX_UNAVAILABLE`.
    Unavailable = 69,
    /// `EX_IOERR`.
    Io = 74,
    /// `EX_NOPERM`.
    Denied = 77,
    /// Statuses that a shell reports for a process that a signal ended.
    HungUp = 129,
    Interrupted = 130,
    Quit = 131,
    Terminated = 143,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl Failure {
    /// A failure with a message that names the remedy.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Turns a failed attempt on a file into a failure, for `map_err`.
    pub(crate) fn file<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| {
            let path = path.display();
            Self::new(
                Status::Io,
                format!(
                    "cannot {doing}: check the path and its permissions, {error}, path=`{path}`"
                ),
            )
        }
    }

    /// Turns a failed write to stdout into a failure, for `map_err`. A reader that went away, such as
    /// `head`, has what it wanted.
    pub(crate) fn stdout(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => Status::ReaderGone,
            _ => Status::Io,
        };
        Self::new(status, format!("cannot write to stdout: check who reads it, {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Address(_) | Error::Name(_) | Error::SegmentName(_) => Status::Usage,
            Error::Refused { code, .. } => match code {
                Some(ErrorCode::Invalid | ErrorCode::TooLarge | ErrorCode::LengthRequired) => {
                    Status::Usage
                }
                _ => Status::Unavailable,
            },
            Error::Denied { .. } => Status::Denied,
            Error::Unreachable { .. }
            | Error::Tls { .. }
            | Error::CircuitOpen { .. }
            | Error::PoolTimeout { .. }
            | Error::Broken { .. }
            | Error::TimedOut { .. }
            | Error::Protocol { .. }
            | Error::StillWriting { .. } => Status::Unavailable,
            Error::Attach { .. }
            | Error::OtherSegment { .. }
            | Error::TlsCaFile { .. }
            | Error::TlsIdentity { .. }
            | Error::TokenFile { .. }
            | Error::NoSharedMemory
            | Error::OutsideSegment { .. }
            | Error::LeaseEnded { .. }
            | Error::Corrupt { .. }
            | Error::Source { .. }
            | Error::LengthMismatch { .. }
            | Error::Closed
            | Error::Forked
            | Error::InsideRuntime
            | Error::Runtime { .. } => Status::Io,
        };
        Self::new(status, with_causes(&error))
    }
}
