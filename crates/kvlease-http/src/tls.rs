//! TLS, and verification of the server certificate.
//!
//! The system's trusted certificates count, and those of
//! [`ClientConfig::tls_ca_file`](crate::ClientConfig::tls_ca_file). A daemon whose certificate is
//! not signed by one of them, or is for another host, is not spoken to, and nothing turns that off.

use std::{io, path::PathBuf, sync::Arc};

use tokio::{net::TcpStream, sync::OnceCell, task::spawn_blocking};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// The only protocol that is spoken within.
const ALPN: &[u8] = b"http/1.1";

/// The settings of encryption. They are read from disk for the first connection that needs them,
/// and again for the next one if that failed.
#[derive(Debug)]
pub(crate) struct Tls {
    ca_file: Option<PathBuf>,
    settings: OnceCell<Arc<ClientConfig>>,
}

/// Reason why there is no encrypted connection.
#[derive(Debug)]
pub(crate) enum TlsFault {
    /// The file of certificates cannot be used.
    CaFile { path: PathBuf, source: io::Error },
    /// The peer is not the daemon, or does not speak TLS. `what` names the remedy.
    Peer { what: &'static str, source: io::Error },
    /// The connection broke before it was encrypted.
    Broken(io::Error),
}

impl Tls {
    /// Trusts the system's certificates and those in this file.
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, settings: OnceCell::new() }
    }

    /// Agrees with the peer on encryption, and checks that it is `host`.
    pub(crate) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsFault> {
        let settings = self.settings.get_or_try_init(|| load(self.ca_file.clone())).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| TlsFault::Peer {
            what: "the url's host can be in no certificate: use a host name or an address",
            source: io::Error::other(error),
        })?;
        let connector = TlsConnector::from(Arc::clone(settings));
        connector.connect(name, stream).await.map_err(judge)
    }
}

/// Reads the certificates, off the threads for calls.
async fn load(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, TlsFault> {
    let read = spawn_blocking(move || settings(ca_file)).await;
    read.unwrap_or_else(|error| Err(TlsFault::Broken(io::Error::other(error))))
}

fn settings(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, TlsFault> {
    let mut roots = RootCertStore::empty();
    // One certificate that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let added = read_ca_file(&path).and_then(|certificates| {
            certificates
                .into_iter()
                .try_for_each(|certificate| roots.add(certificate).map_err(io::Error::other))
        });
        added.map_err(|source| TlsFault::CaFile { path, source })?;
    }
    let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault::Broken(io::Error::other(error)))?;
    let mut settings = settings.with_root_certificates(roots).with_no_client_auth();
    settings.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(settings))
}

fn read_ca_file(path: &PathBuf) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path)?;
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
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "the daemon asks for a client's certificate, which this client has none of: \
             let it serve without"
        }
        Some(_) => "the handshake failed: check that the daemon speaks TLS 1.2 or 1.3",
        None => return TlsFault::Broken(source),
    };
    TlsFault::Peer { what, source }
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
