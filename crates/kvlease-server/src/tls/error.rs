//! Faults of the files of a listener's TLS.

use std::path::{Path, PathBuf};

/// Reason why the files of a listener's TLS cannot be used, in one line that names the setting, the
/// file and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with these files: {remedy}, reason=`{reason}` {section}.{key}=`{}`", path.display())]
pub struct CertificateError {
    /// Section of the listener.
    pub section: String,
    /// Key of the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Remedy.
    pub remedy: &'static str,
    /// Error of the system or of the library.
    pub reason: String,
}

/// The same before the section is known.
#[derive(Debug)]
pub(super) struct FileFault {
    pub(super) key: &'static str,
    pub(super) path: PathBuf,
    pub(super) remedy: &'static str,
    pub(super) reason: String,
}

impl FileFault {
    pub(super) fn new(
        (key, path): (&'static str, &Path),
        remedy: &'static str,
        reason: impl ToString,
    ) -> Self {
        Self { key, path: path.to_owned(), remedy, reason: reason.to_string() }
    }

    pub(super) fn of(self, section: &str) -> CertificateError {
        let Self { key, path, remedy, reason } = self;
        CertificateError { section: section.to_owned(), key, path, remedy, reason }
    }
}
