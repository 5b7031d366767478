//! Capture of the stream of requests: who asked for which names, in which order, when, and what came of it.
//!
//! A request only copies its names into a queue that is bounded and never waited for. A thread hashes them
//! with the secret of the capture, and writes lines of JSON. So a file has neither a name nor a byte of an
//! object. `docs/capture.md` has the format.

mod call;
mod config;
mod line;
mod notes;
mod queue;
mod writer;

pub use config::{CAPTURE_FILE_LEN_DEFAULT, CAPTURE_FILES_DEFAULT, CaptureConfig};

pub(crate) use notes::Capture;
pub(crate) use writer::write_capture;
