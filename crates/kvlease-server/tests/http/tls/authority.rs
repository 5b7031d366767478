//! Authority that signs certificates of daemons and of clients, and connections with them.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use kvlease_harness::wire::Wire;
use kvlease_server::config::{Config, TlsFiles};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{PrivateKeyDer, ServerName},
};
use tempfile::TempDir;

/// Limit of one read or write before the daemon counts as stuck.
const REPLY_WITHIN: Duration = Duration::from_secs(20);

/// Connection within TLS.
pub(super) type Encrypted = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// Authority with a directory for its certificate, and for those of one daemon.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// Certificate and key.
pub(super) struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Identity with this name, for a daemon or a client.
    pub(super) fn sign(&self, name: &str, has_expired: bool) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if has_expired {
            (params.not_before, params.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// Writes a daemon's files, each in the place of the one before as a whole.
    pub(super) fn write(&self, identity: &Identity) {
        let replace = |name: &str, text: String| {
            let new = self.file(&format!("{name}.new"));
            fs::write(&new, text).unwrap();
            fs::rename(new, self.file(name)).unwrap();
        };
        replace("daemon.key", identity.key.serialize_pem());
        replace("daemon.pem", identity.certificate.pem());
    }

    /// Files of a daemon for 127.0.0.1.
    pub(crate) fn daemon_files(&self) -> TlsFiles {
        self.write(&self.sign("127.0.0.1", false));
        let (certificate, key) = (self.file("daemon.pem"), self.file("daemon.key"));
        TlsFiles { certificate, key, client_ca: None }
    }

    /// Configures TLS at the first address.
    pub(super) fn configure(&self, config: &mut Config) {
        let files = self.daemon_files();
        config.tls.certificate = Some(files.certificate);
        config.tls.key = Some(files.key);
    }

    /// Settings of a client that trusts this authority.
    pub(super) fn client(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => settings.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                settings.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        })
    }

    /// Connection of a client without a certificate.
    pub(super) fn open(&self, address: SocketAddr) -> Encrypted {
        connect(address, self.client(None, rustls::DEFAULT_VERSIONS)).unwrap()
    }
}

impl Identity {
    pub(super) fn serial(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }
}

/// Connection behind its handshake.
pub(super) fn connect(address: SocketAddr, settings: Arc<ClientConfig>) -> io::Result<Encrypted> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(settings, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Wire::over(stream))
}

/// The certificate that a daemon shows to a new connection.
pub(super) fn shown(authority: &Authority, address: SocketAddr) -> Option<Vec<u8>> {
    let settings = authority.client(None, rustls::DEFAULT_VERSIONS);
    let name = ServerName::from(address.ip());
    let mut connection = ClientConnection::new(settings, name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(connection.peer_certificates()?.first()?.to_vec())
}

/// All that comes over a plain connection for these bytes.
pub(super) fn plainly(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(REPLY_WITHIN)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
