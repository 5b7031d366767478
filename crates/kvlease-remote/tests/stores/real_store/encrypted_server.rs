//! Stores behind TLS, with certificates that an authority of the test has signed.

use std::{
    fs,
    net::TcpListener as StdListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use kvlease_testing::free_port;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::real_store::{process::Process, s3_server::S3Server};

/// Files of an authority, and of a server's certificate that it has signed.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// A new authority, and a certificate for one host.
    pub(crate) fn of(host: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A name of its own: OpenSSL takes a certificate that names itself for one of no authority.
        params.distinguished_name.push(DnType::CommonName, "authority of the test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&pair, &signer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), signer.pem()).unwrap();
        fs::write(folder.path().join("server.pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join("server.key"), pair.serialize_pem()).unwrap();
        Self { folder }
    }

    /// The certificate of the authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_file(self.file("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Redis with its own TLS, single or a cluster of one master.
pub(crate) fn start_valkey(certificates: &Certificates, folder: &Path, cluster: bool) -> Process {
    let process = Process::start(|port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(certificates.file("server.pem"));
        command.arg("--tls-key-file").arg(certificates.file("server.key"));
        command.arg("--tls-ca-cert-file").arg(certificates.authority());
        command.arg("--dir").arg(folder);
        if cluster {
            command.args(["--cluster-enabled", "yes", "--tls-cluster", "yes"]);
            command.args(["--cluster-port", &free_port().to_string()]);
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
        }
        command
    });
    if cluster {
        let call = |words: &[&str]| {
            let mut client = Command::new("redis-cli");
            client.args(["-p", &process.port.to_string(), "--tls", "--cacert"]);
            client.arg(certificates.authority()).args(words);
            String::from_utf8(client.output().unwrap().stdout).unwrap()
        };
        assert_eq!(call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).trim(), "OK");
        while !call(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            thread::sleep(Duration::from_millis(20));
        }
    }
    process
}

/// End of the encryption in front of an S3 server, which has none.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Front {
    pub(crate) fn start(certificates: &Certificates, server: &S3Server) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = TcpListener::from_std(listener).unwrap();
        let (acceptor, behind) = (certificates.acceptor(), server.proxy.port);
        Self { port, task: tokio::spawn(forward(listener, acceptor, behind)) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, behind: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that refuses the certificate ends the connection.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", behind)).await else { return };
            let _ended = copy_bidirectional(&mut stream, &mut server).await;
        });
    }
}
