//! Errors of calls over the fast lane.

use std::{io, path::PathBuf, time::Duration};

use kvlease_api::lane::{FrameTooLong, Malformed};
use kvlease_types::Epoch;

/// Error of a call over the fast lane. Everything but a refusal ends the lane.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The socket cannot be used: no daemon listens there, or it broke.
    #[error("the fast lane is broken, socket=`{}`: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The daemon did not answer in time.
    #[error("the daemon did not answer over the fast lane in time, limit=`{limit:?}` socket=`{}`", path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// The time that it had.
        limit: Duration,
    },
    /// The answer is none of the fast lane.
    #[error("what answers is no daemon's fast lane, socket=`{}`: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// The process that listens belongs to a user who is not known to run the daemon.
    #[error(
        "a process of a user who is not known to run the daemon listens there: set \
         kvlease_daemon_uid if that user does, uid=`{uid}` socket=`{}`",
        path.display()
    )]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// The user.
        uid: u32,
    },
    /// The daemon that listens is not the one that answers over HTTP.
    #[error(
        "another daemon listens there than answers over http: set kvlease_socket to the socket of \
         the daemon that the url names, epoch=`{found}` announced=`{announced}` socket=`{}`",
        path.display()
    )]
    OtherDaemon {
        /// The socket.
        path: PathBuf,
        /// The incarnation that listens.
        found: Epoch,
        /// The incarnation that answers over HTTP.
        announced: Epoch,
    },
    /// The daemon that listens is not the one that answered over HTTP before, and none answers now, as
    /// while a daemon starts.
    #[error(
        "no daemon answers over http to compare with: wait until one does, epoch=`{found}` \
         socket=`{}`",
        path.display()
    )]
    Unconfirmed {
        /// The socket.
        path: PathBuf,
        /// The incarnation that listens.
        found: Epoch,
    },
    /// The daemon refused the request as a whole.
    #[error("the daemon refused a request over the fast lane: {text}")]
    Refused {
        /// Text of the daemon.
        text: String,
    },
}

/// The same before the socket's path is known.
#[derive(Debug)]
pub(super) enum Fault {
    Broken(io::Error),
    TimedOut(Duration),
    Protocol(String),
    Foreign { uid: u32 },
    Refused { text: String, closes: bool },
}

impl Fault {
    /// The daemon closed the connection.
    pub(super) fn closed() -> Self {
        Self::Broken(io::ErrorKind::UnexpectedEof.into())
    }

    /// Whether the connection is of no more use.
    pub(super) fn ends(&self) -> bool {
        !matches!(self, Self::Refused { closes: false, .. })
    }

    pub(super) fn at(self, path: &std::path::Path) -> LaneError {
        let path = path.to_owned();
        match self {
            Self::Broken(source) => LaneError::Broken { path, source },
            Self::TimedOut(limit) => LaneError::TimedOut { path, limit },
            Self::Protocol(what) => LaneError::Protocol { path, what },
            Self::Foreign { uid } => LaneError::Foreign { path, uid },
            Self::Refused { text, .. } => LaneError::Refused { text },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<FrameTooLong> for Fault {
    fn from(error: FrameTooLong) -> Self {
        Self::Protocol(error.to_string())
    }
}
