//! Certificates of one listener: those that new connections get, and when their files changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use kvlease_sys::FileStamp;
use tokio_rustls::TlsAcceptor;

use super::{
    error::CertificateError,
    files::{Loaded, load},
};
use crate::config::{FIRST_LISTENER, TlsFiles};

/// The certificates of a listener. They are read at the start, and again when their files change.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Name of the listener, and its section in the configuration.
    listener: String,
    section: String,
    files: TlsFiles,
    /// Those of the next handshake.
    current: RwLock<Loaded>,
    /// The files as they were before they were read last.
    seen: Mutex<Vec<Option<FileStamp>>>,
}

impl Certificates {
    /// Reads the files of a listener.
    pub(crate) fn read(listener: &str, files: TlsFiles) -> Result<Self, CertificateError> {
        let section = match listener {
            FIRST_LISTENER => listener.to_owned(),
            _ => format!("listener.{listener}"),
        };
        let seen = Mutex::new(stamps(&files));
        let loaded = load(&files).map_err(|fault| fault.of(&section))?;
        if loaded.has_expired() {
            tracing::warn!(
                "the certificate has expired, and clients will refuse it: renew it, \
                 {section}.tls_certificate_file=`{}`",
                files.certificate.display()
            );
        }
        let current = RwLock::new(loaded);
        Ok(Self { listener: listener.to_owned(), section, files, current, seen })
    }

    /// Name of the listener.
    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    /// End of the certificate's validity, in seconds of Unix time.
    pub(crate) fn expires(&self) -> i64 {
        self.current().expires
    }

    /// For one handshake, with the certificates of now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current().config))
    }

    /// Whether a file is another one than when they were read last.
    pub(super) fn have_changed(&self) -> bool {
        *self.seen() != stamps(&self.files)
    }

    /// Reads the files again. Certificates that cannot be used leave those of before in their place.
    pub(super) fn reread(&self) -> Result<(), CertificateError> {
        // Before they are read: a change meanwhile is seen by the next look.
        *self.seen() = stamps(&self.files);
        let loaded = load(&self.files).map_err(|fault| fault.of(&self.section))?;
        if loaded.has_expired() {
            return Err(CertificateError {
                section: self.section.clone(),
                key: "tls_certificate_file",
                path: self.files.certificate.clone(),
                remedy: "renew the certificate",
                reason: "it has expired".into(),
            });
        }
        let expires = loaded.expires;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        tracing::info!(listener = self.listener, expires, "new connections get a new certificate");
        Ok(())
    }
}

impl Certificates {
    fn current(&self) -> RwLockReadGuard<'_, Loaded> {
        // A panic cannot leave it half replaced.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Option<FileStamp>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(files: &TlsFiles) -> Vec<Option<FileStamp>> {
    let named = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
    named.into_iter().flatten().map(|path| FileStamp::of(path)).collect()
}
