//! Encrypted connections, with a daemon that is who it says and with others.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[expect(dead_code, reason = "not all of the peer is needed here")]
mod peer;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kvlease_http::{Address, Client, ClientConfig, Error, PutOutcome};
use kvlease_types::Key;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::PrivateKeyDer,
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};

use peer::Peer;

fn key() -> Key {
    Key::new("k").unwrap()
}

/// Issuer of certificates, and the directory with the file of its own certificate.
struct Signer {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Signer {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// A daemon with a certificate for `host`, which echoes what it is given.
    async fn serve(&self, host: &str, has_expired: bool) -> Address {
        self.serve_those(host, has_expired, WebPkiClientVerifier::no_client_auth()).await
    }

    /// A daemon that serves clients with a certificate of this signer alone.
    async fn serve_own(&self) -> Address {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        self.serve_those("127.0.0.1", false, verifier.unwrap()).await
    }

    /// Writes the files of a client's identity.
    fn write_identity(&self, signer: &Signer) -> [PathBuf; 2] {
        let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let pair = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&pair, &signer.issuer).unwrap();
        let files = ["client.pem", "client.key"].map(|name| self.dir.path().join(name));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], pair.serialize_pem()).unwrap();
        files
    }

    async fn serve_those(
        &self,
        host: &str,
        has_expired: bool,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> Address {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if has_expired {
            (params.not_before, params.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let pair = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        let private = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let stream = TokioIo::new(acceptor.accept(stream).await?);
                    let served = http1::Builder::new().serve_connection(stream, service_fn(echo));
                    served.await.map_err(io::Error::other)
                });
            }
        });
        address.parse().unwrap()
    }

    fn trusted(&self, address: Address) -> Client {
        Client::new(self.config(address))
    }

    fn config(&self, address: Address) -> ClientConfig {
        let mut config = peer::patient(ClientConfig::new(address));
        config.tls_ca_file = Some(self.dir.path().join("ca.pem"));
        config
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

/// The message of a handshake that fails.
async fn refused(client: Client) -> String {
    let error = client.put(&key(), "bytes").await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_daemon_whose_certificate_is_trusted_is_used_with_many_calls_per_connection() {
    let signer = Signer::new();
    let address = signer.serve("127.0.0.1", false).await;
    let client = signer.trusted(address);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i >> 5) as u8).collect();
    for body in [Vec::new(), vec![7], bytes] {
        assert_eq!(client.put(&key(), body).await.unwrap(), PutOutcome::Stored);
    }
    let calls = (0..32).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.ping().await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(client.get(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_daemon_whose_certificate_nobody_knows_is_not_spoken_to() {
    let address = Signer::new().serve("127.0.0.1", false).await;
    let message = refused(Signer::new().trusted(address.clone())).await;
    assert!(message.contains("`tls_ca_file`") && message.contains("SSL_CERT_FILE"), "{message}");
    assert!(message.contains(&format!("url=`{address}`")), "{message}");
    let message = refused(Client::new(peer::patient(ClientConfig::new(address)))).await;
    assert!(message.contains("no trusted signer"), "{message}");
}

#[tokio::test]
async fn a_certificate_for_another_host_or_another_time_is_refused() {
    let signer = Signer::new();
    let address = signer.serve("daemon.example", false).await;
    let message = refused(signer.trusted(address)).await;
    assert!(message.contains("for another host"), "{message}");
    let address = signer.serve("127.0.0.1", true).await;
    let message = refused(signer.trusted(address)).await;
    assert!(message.contains("has expired"), "{message}");
}

#[tokio::test]
async fn a_peer_without_tls_is_told_from_one_that_is_silent() {
    let signer = Signer::new();
    let peer = Peer::start(|_| peer::reply(200, "")).await;
    let message = refused(signer.trusted(peer.config.address.with_https())).await;
    assert!(message.contains("use an `http://` url"), "{message}");
    assert_eq!(peer.asked().len(), 0);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = silent.local_addr().unwrap().to_string().parse().unwrap();
    let mut config = ClientConfig::new(address.with_https());
    config.timeouts.connect = Duration::from_millis(300);
    let error = Client::new(config).head(&key()).await.unwrap_err();
    let Error::Unreachable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_file_without_certificates_is_an_error_that_names_it() {
    let signer = Signer::new();
    let address = signer.serve("127.0.0.1", false).await;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    for path in [
        dir.path().join("absent.pem"),
        write("empty.pem", ""),
        write("key.pem", &KeyPair::generate().unwrap().serialize_pem()),
        write("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
    ] {
        let mut config = ClientConfig::new(address.clone());
        config.tls_ca_file = Some(path.clone());
        let error = Client::new(config).head(&key()).await.unwrap_err();
        assert!(matches!(error, Error::TlsCaFile { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("tls_ca_file=`{}`", path.display())));
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_is_told_what_is_wrong_with_it() {
    let (signer, strange) = (Signer::new(), Signer::new());
    let address = signer.serve_own().await;
    let message = refused(signer.trusted(address.clone())).await;
    assert!(message.contains("set `tls_certificate_file` and `tls_key_file`"), "{message}");
    let mut config = signer.config(address);
    let [certificate, key_file] = signer.write_identity(&strange);
    config.tls_certificate_file = Some(certificate.clone());
    let lone = Client::new(config.clone()).head(&key()).await.unwrap_err();
    assert!(matches!(lone, Error::TlsIdentity { .. }), "{lone:?}");
    assert!(lone.to_string().contains("set both files or none"), "{lone}");
    config.tls_key_file = Some(key_file.clone());
    let client = Client::new(config.clone());
    let message = refused(client.clone()).await;
    assert!(message.contains("does not take the client's certificate"), "{message}");
    // The files are read again when they change.
    signer.write_identity(&signer);
    assert_eq!(client.put(&key(), "bytes").await.unwrap(), PutOutcome::Stored);
    fs::write(&key_file, "no key").unwrap();
    let broken = Client::new(config).head(&key()).await.unwrap_err();
    assert!(
        broken.to_string().contains(&format!("tls_key_file=`{}`", key_file.display())),
        "{broken}"
    );
    assert_eq!(client.put(&key(), "bytes").await.unwrap(), PutOutcome::Stored);
}
