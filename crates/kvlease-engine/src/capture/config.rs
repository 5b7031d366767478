//! Place and limits of a capture.

use std::path::PathBuf;

use kvlease_sys::FingerprintKey;
use kvlease_types::ByteSize;

/// The longest file, unless it is configured: about half a million calls with one key.
pub const CAPTURE_FILE_LEN_DEFAULT: ByteSize = ByteSize::mib(64);

/// How many files there are, unless it is configured.
pub const CAPTURE_FILES_DEFAULT: usize = 8;

/// Place and limits of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureConfig {
    /// The file that is written; earlier ones have `.1`, `.2`, … behind their name.
    pub path: PathBuf,
    /// The longest file, in bytes.
    pub file_len_max: ByteSize,
    /// How many files there are, the one that is written included; one at least.
    pub files_max: usize,
    /// Secret that names are hashed with.
    pub secret: FingerprintKey,
    /// Number of this capture, another one at each start.
    pub id: u64,
}
