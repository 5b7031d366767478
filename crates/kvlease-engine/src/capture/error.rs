//! Reasons why there is no capture.

use std::{io, path::PathBuf};

/// Reason why a capture cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A file of another kind has the name of a capture's file.
    #[error(
        "a file that is no capture has this name: choose another path or move the file, capture.path=`{path}`"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another daemon writes this capture.
    #[error(
        "another daemon writes this capture: give each daemon a path of its own, capture.path=`{path}`"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(
        "the capture cannot be begun: check that the directory exists and the daemon's user may write there, {what}, capture.path=`{path}`, error=`{source}`"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The step that failed.
        what: &'static str,
        /// Error of the system.
        source: io::Error,
    },
}
