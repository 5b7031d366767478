//! TLS, and verification of the server certificate.
//!
//! The system's trusted certificates count, and those of
//! [`ClientConfig::tls_ca_file`](crate::ClientConfig::tls_ca_file). A daemon whose certificate is
//! not signed by one of them, or is for another host, is not spoken to, and nothing turns that off.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kvlease_sys::FileStamp;
use tokio::{net::TcpStream, sync::Mutex, task::spawn_blocking};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// The only protocol that is spoken within.
const ALPN: &[u8] = b"http/1.1";

/// The settings of encryption. They are read from disk for the first connection that needs them,
/// and again for the next one if that failed, or if a file of the client's certificate has changed.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    read: Mutex<Option<Settings>>,
}

/// Settings that were read.
#[derive(Debug)]
struct Settings {
    config: Arc<ClientConfig>,
    /// The files of the client's certificate as they were before that.
    stamps: [Option<FileStamp>; 2],
}

/// Files of a client's configuration.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Reason why there is no encrypted connection.
#[derive(Debug)]
pub(crate) enum TlsFault {
    /// The file of certificates cannot be used.
    CaFile { path: PathBuf, source: io::Error },
    /// The client's own certificate cannot be used. `what` names the remedy.
    Identity { what: &'static str, source: io::Error },
    /// The peer is not the daemon, or does not speak TLS. `what` names the remedy.
    Peer { what: &'static str, source: io::Error },
    /// The connection broke before it was encrypted.
    Broken(io::Error),
}

impl Tls {
    /// Trusts the system's certificates and those in a file, and shows the client's own.
    pub(crate) fn new(files: TlsFiles) -> Self {
        Self { files, read: Mutex::new(None) }
    }

    /// Agrees with the peer on encryption, and checks that it is `host`.
    pub(crate) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsFault> {
        let settings = self.settings().await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| TlsFault::Peer {
            what: "the url's host can be in no certificate: use a host name or an address",
            source: io::Error::other(error),
        })?;
        TlsConnector::from(settings).connect(name, stream).await.map_err(judge)
    }

    /// The settings of now. Files that cannot be used leave the settings of before in their place.
    async fn settings(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        // Held while files are read: other connections wait for the same.
        let mut read = self.read.lock().await;
        let stamps = self.files.stamps();
        if let Some(known) = read.as_ref().filter(|known| known.stamps == stamps) {
            return Ok(Arc::clone(&known.config));
        }
        let config = match (load(self.files.clone()).await, &*read) {
            (Ok(config), _) => config,
            (Err(_), Some(known)) => return Ok(Arc::clone(&known.config)),
            (Err(fault), None) => return Err(fault),
        };
        *read = Some(Settings { config: Arc::clone(&config), stamps });
        Ok(config)
    }
}

impl TlsFiles {
    /// The files of a client.
    pub(crate) fn of(config: &crate::ClientConfig) -> Self {
        let (certificate, key) = (&config.tls_certificate_file, &config.tls_key_file);
        let ca = config.tls_ca_file.clone();
        Self { ca, certificate: certificate.clone(), key: key.clone() }
    }

    /// Stamps of the files of the client's certificate.
    fn stamps(&self) -> [Option<FileStamp>; 2] {
        [&self.certificate, &self.key].map(|path| path.as_deref().and_then(FileStamp::of))
    }
}

/// Reads the certificates, off the threads for calls.
async fn load(files: TlsFiles) -> Result<Arc<ClientConfig>, TlsFault> {
    let read = spawn_blocking(move || settings(&files)).await;
    read.unwrap_or_else(|error| Err(TlsFault::Broken(io::Error::other(error))))
}

fn settings(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsFault> {
    let mut roots = RootCertStore::empty();
    // One certificate that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &files.ca {
        let added = read_certificates(path).and_then(|certificates| {
            certificates
                .into_iter()
                .try_for_each(|certificate| roots.add(certificate).map_err(io::Error::other))
        });
        added.map_err(|source| TlsFault::CaFile { path: path.clone(), source })?;
    }
    let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault::Broken(io::Error::other(error)))?;
    let settings = settings.with_root_certificates(roots);
    let mut settings = match (&files.certificate, &files.key) {
        (None, None) => settings.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let shown = read_certificates(certificate).and_then(|chain| {
                let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?).map_err(io::Error::other);
                settings.with_client_auth_cert(chain, key?).map_err(io::Error::other)
            });
            shown.map_err(|source| TlsFault::Identity {
                what: "name a file of certificates and one with the key of the first, both in PEM",
                source,
            })?
        }
        _ => {
            return Err(TlsFault::Identity {
                what: "set both files or none",
                source: io::Error::new(io::ErrorKind::InvalidInput, "one of them is missing"),
            });
        }
    };
    settings.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(settings))
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = fs::read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(io::Error::other)?;
    match certificates.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it has no certificate")),
        false => Ok(certificates),
    }
}

/// Finds the remedy for a failed handshake.
fn judge(source: io::Error) -> TlsFault {
    let error = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let what = match error {
        Some(rustls::Error::InvalidCertificate(error)) => certificate_remedy(error),
        Some(rustls::Error::InvalidMessage(_)) => {
            "what listens there does not speak TLS: use an `http://` url"
        }
        Some(rustls::Error::AlertReceived(alert)) => alert_text(*alert),
        Some(_) => "the handshake failed: check that the daemon speaks TLS 1.2 or 1.3",
        None => return TlsFault::Broken(source),
    };
    TlsFault::Peer { what, source }
}

/// The remedy for a connection that the peer ended by an alert behind the handshake; `None` if it ended
/// otherwise.
pub(crate) fn alert_remedy(source: &io::Error) -> Option<&'static str> {
    match source.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(alert_text(*alert)),
        _ => None,
    }
}

fn alert_text(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => {
            "the daemon asks for a client's certificate: set `tls_certificate_file` and \
             `tls_key_file`"
        }
        AlertDescription::CertificateExpired => {
            "the client's certificate has expired: renew it in `tls_certificate_file`"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            "the daemon does not take the client's certificate: have one signed by an authority that \
             the daemon trusts, and name it in `tls_certificate_file`"
        }
        _ => "the handshake failed: check that the daemon speaks TLS 1.2 or 1.3",
    }
}

fn certificate_remedy(error: &CertificateError) -> &'static str {
    match error {
        // A bad signature is that of another signer with a known name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no trusted signer has signed the certificate: name the file of its signer in \
             `tls_ca_file` or in the environment's SSL_CERT_FILE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host: use a host name that it is for in the url"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired: renew it, or correct this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: correct this machine's clock"
        }
        _ => "the certificate cannot be used: issue another one",
    }
}
