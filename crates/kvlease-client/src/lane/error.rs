//! Why a call over the fast lane failed.

use std::{io, path::PathBuf, time::Duration};

use kvlease_api::lane::{FrameTooLong, Malformed};

/// Why a call over the fast lane failed. Everything but a refusal ends the lane.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The socket cannot be used: nobody listens there, or it broke.
    #[error("the fast lane is broken, socket=`{}`: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
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
    /// What came is no answer of the fast lane.
    #[error("what answers is no daemon's fast lane, socket=`{}`: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The daemon refused the request as a whole.
    #[error("the daemon refused a request over the fast lane: {text}")]
    Refused {
        /// What it said.
        text: String,
    },
}

/// The same before the socket's path is known.
#[derive(Debug)]
pub(super) enum Fault {
    Broken(io::Error),
    TimedOut(Duration),
    Protocol(String),
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
