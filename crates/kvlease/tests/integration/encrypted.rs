//! The commands over encrypted connections, in front of a real daemon.

use std::{fs, path::PathBuf, sync::Arc};

use kvlease_harness::Daemon;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::program::{daemon, run};

/// Proxy that ends the encryption in front of a daemon, and the directory of its issuer's file.
struct Front {
    url: String,
    dir: TempDir,
    _runtime: Runtime,
}

impl Front {
    fn start(daemon: &Daemon) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), signer.pem()).unwrap();
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&pair, &signer).unwrap();
        let private = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let behind = daemon.address().to_string();
        runtime.spawn(forward(listener, TlsAcceptor::from(Arc::new(config)), behind));
        Self { url, dir, _runtime: runtime }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            let mut client = acceptor.accept(stream).await?;
            let mut daemon = TcpStream::connect(behind).await?;
            copy_bidirectional(&mut client, &mut daemon).await
        });
    }
}

#[test]
fn all_commands_reach_a_daemon_whose_certificate_is_trusted_by_a_file() {
    let daemon = daemon();
    let front = Front::start(&daemon);
    let ca_file = front.file("ca.pem");
    let daemon_args = ["--url", &front.url, "--tls-ca-file", ca_file.to_str().unwrap()];
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i >> 5) as u8).collect();
    let command = |args: &[&str], stdin: &[u8]| {
        let output = run(&[&daemon_args, args].concat(), stdin);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    command(&["put", "k"], &content);
    assert!(command(&["get", "k"], b"") == content);
    assert!(command(&["get", "k", "--http"], b"") == content);
    assert!(String::from_utf8(command(&["stat", "k"], b"")).unwrap().contains("3000000"));
    assert_eq!(command(&["ls"], b""), b"k\n");
    command(&["rm", "k"], b"");
    assert_eq!(command(&["ls"], b""), b"");
}

#[test]
fn an_untrusted_certificate_and_a_file_without_any_are_errors_that_name_the_remedy() {
    let daemon = daemon();
    let front = Front::start(&daemon);
    let untrusted = run(&["ls", "--url", &front.url], b"");
    assert_eq!(untrusted.status.code(), Some(69));
    let said = String::from_utf8(untrusted.stderr).unwrap();
    assert!(said.contains("tls_ca_file") && said.contains(&front.url), "{said}");
    let absent = front.file("absent.pem");
    let absent = absent.to_str().unwrap();
    let output = run(&["ls", "--url", &front.url, "--tls-ca-file", absent], b"");
    assert_eq!(output.status.code(), Some(74));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(absent), "{said}");
}
