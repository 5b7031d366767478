//! Settings of the capture of requests.

use std::path::PathBuf;

use kvlease_engine::{CAPTURE_FILE_LEN_DEFAULT, CAPTURE_FILES_DEFAULT};
use kvlease_types::ByteSize;

/// Settings of the section `[capture]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureSettings {
    /// Its file; `None` for no capture.
    pub path: Option<PathBuf>,
    /// The size of a file.
    pub file_size: ByteSize,
    /// The most files.
    pub files_max: usize,
    /// File of the secret that keys are hashed with; `None` for one that is drawn at each start.
    pub secret_file: Option<PathBuf>,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        let (file_size, files_max) = (CAPTURE_FILE_LEN_DEFAULT, CAPTURE_FILES_DEFAULT);
        Self { path: None, file_size, files_max, secret_file: None }
    }
}
