//! Files of a listener's TLS.

use std::path::PathBuf;

use super::error::ConfigError;

/// Files of a listener's TLS, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The certificate of the daemon, with those of the authorities between it and a trusted one.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Authorities of which a client must have a certificate; `None` if clients need none.
    pub client_ca: Option<PathBuf>,
}

/// The same as settings, of which some may be missing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TlsSettings {
    /// See [`TlsFiles::certificate`].
    pub certificate: Option<PathBuf>,
    /// See [`TlsFiles::key`].
    pub key: Option<PathBuf>,
    /// See [`TlsFiles::client_ca`].
    pub client_ca: Option<PathBuf>,
}

impl TlsSettings {
    pub(super) const CERTIFICATE: &str = "tls_certificate_file";
    pub(super) const KEY: &str = "tls_key_file";
    pub(super) const CLIENT_CA: &str = "tls_client_ca_file";

    /// The file with this key.
    pub(super) fn file(&mut self, key: &str) -> Option<&mut Option<PathBuf>> {
        match key {
            Self::CERTIFICATE => Some(&mut self.certificate),
            Self::KEY => Some(&mut self.key),
            Self::CLIENT_CA => Some(&mut self.client_ca),
            _ => None,
        }
    }

    /// All files that TLS needs, or none.
    pub(super) fn checked(
        self,
        section: &str,
        origin: &str,
    ) -> Result<Option<TlsFiles>, ConfigError> {
        let lacks = |key: &str, file: PathBuf, remedy: &str| {
            let path = format!("{section}.{key}");
            Err(ConfigError::value(&path, &file.display().to_string(), remedy, origin))
        };
        match self {
            Self { certificate: Some(certificate), key: Some(key), client_ca } => {
                Ok(Some(TlsFiles { certificate, key, client_ca }))
            }
            Self { certificate: Some(file), .. } => {
                let remedy = "set tls_key_file as well, to the certificate's private key";
                lacks(Self::CERTIFICATE, file, remedy)
            }
            Self { key: Some(file), .. } => {
                let remedy = "set tls_certificate_file as well, to the key's certificate";
                lacks(Self::KEY, file, remedy)
            }
            Self { client_ca: Some(file), .. } => {
                let remedy =
                    "set tls_certificate_file and tls_key_file as well, to the daemon's own";
                lacks(Self::CLIENT_CA, file, remedy)
            }
            Self { client_ca: None, .. } => Ok(None),
        }
    }
}
