//! TLS for clients that read nothing: the authority, the daemon's listener, and connections.

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName};
use tempfile::TempDir;

/// Name in the daemon's certificate.
const NAME: &str = "127.0.0.1";

/// Files of a daemon, and settings of clients that trust it.
#[derive(Debug)]
pub(crate) struct Tls {
    dir: TempDir,
    pub(crate) clients: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let clients = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Self { dir: tempfile::tempdir().unwrap(), clients: Arc::new(clients) };
        fs::write(tls.path("daemon.key"), key.serialize_pem()).unwrap();
        fs::write(tls.path("daemon.pem"), certificate.pem()).unwrap();
        tls
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Settings of the daemon: a listener at this address.
    pub(crate) fn settings(&self, address: &str) -> [String; 3] {
        let path = |name: &str| self.path(name).display().to_string();
        [
            format!("listener.tls.address={address}"),
            format!("listener.tls.tls_certificate_file={}", path("daemon.pem")),
            format!("listener.tls.tls_key_file={}", path("daemon.key")),
        ]
    }
}

/// Encryption of one connection. It takes no byte from the daemon behind its handshake.
#[derive(Debug)]
pub(crate) struct Session(ClientConnection);

impl Session {
    pub(crate) fn new(clients: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(NAME).unwrap();
        Self(ClientConnection::new(Arc::clone(clients), name).unwrap())
    }

    /// Whether there is something to send, whatever else the client sends.
    pub(crate) fn wants_to_send(&self) -> bool {
        self.0.wants_write()
    }

    /// Agrees with the daemon on encryption, within the time that the stream waits for bytes.
    pub(crate) fn begin(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.0.complete_io(stream).map(drop)
    }

    /// Sends as much as the daemon takes at once. Returns how much of the bytes that was.
    pub(crate) fn send(&mut self, stream: &mut File, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        loop {
            while self.0.wants_write() {
                if would_block(self.0.write_tls(stream).map(drop))? {
                    return Ok(sent);
                }
            }
            if sent == bytes.len() {
                return Ok(sent);
            }
            sent += io::Write::write(&mut self.0.writer(), &bytes[sent..])?;
        }
    }
}

/// Whether nothing could be done now.
fn would_block(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}
