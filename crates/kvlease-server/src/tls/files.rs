//! Files of a listener's TLS, read and checked.

use std::{fs, io, path::Path, sync::Arc, time::SystemTime};

use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::parse_x509_certificate;

use super::error::FileFault;
use crate::config::TlsFiles;

/// The only protocol that is spoken within.
const ALPN: &[u8] = b"http/1.1";

const CERTIFICATE: &str = "tls_certificate_file";
const KEY: &str = "tls_key_file";
const CLIENT_CA: &str = "tls_client_ca_file";

/// A whole file of certificates, or a key, is shorter.
const FILE_LEN_MAX: u64 = 4 << 20;

/// Settings of TLS that the files of a listener make.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// End of the certificate's validity, in seconds of Unix time.
    pub(super) expires: i64,
}

/// Reads and checks the files.
pub(super) fn load(files: &TlsFiles) -> Result<Loaded, FileFault> {
    let certificate = (CERTIFICATE, files.certificate.as_path());
    let chain = certificates(certificate)?;
    let expires = expiry(&chain[0]).map_err(|reason| {
        FileFault::new(certificate, "write the daemon's certificate first in the file", reason)
    })?;
    let key = private_key((KEY, &files.key))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = match &files.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => client_verifier((CLIENT_CA, path), &provider)?,
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FileFault::new(certificate, "report this error", error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            FileFault::new((KEY, &files.key), "name the private key of the certificate", error)
        }
        _ => FileFault::new(
            certificate,
            "issue a certificate of an RSA, ECDSA or Ed25519 key",
            error,
        ),
    })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Loaded { config: Arc::new(config), expires })
}

impl Loaded {
    /// Whether the certificate is not valid any more.
    pub(super) fn has_expired(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.is_ok_and(|now| i64::try_from(now.as_secs()).is_ok_and(|now| now >= self.expires))
    }
}

type File<'a> = (&'static str, &'a Path);

/// All certificates of a file, of which there is at least one.
fn certificates(file: File<'_>) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let pem = read(file)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
    let remedy = "write certificates in PEM";
    let found = found.map_err(|error| FileFault::new(file, remedy, error))?;
    match found.is_empty() {
        true => Err(FileFault::new(file, remedy, "it has no certificate")),
        false => Ok(found),
    }
}

fn private_key(file: File<'_>) -> Result<PrivateKeyDer<'static>, FileFault> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let remedy = "write one private key in PEM, which no password protects";
        let reason = match error {
            pem::Error::NoItemsFound => "it has no such key".to_owned(),
            error => error.to_string(),
        };
        FileFault::new(file, remedy, reason)
    })
}

fn client_verifier(
    file: File<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, FileFault> {
    let mut roots = RootCertStore::empty();
    let remedy = "write the certificates of the authorities that sign the clients'";
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| FileFault::new(file, remedy, error))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    verifier.build().map_err(|error| FileFault::new(file, remedy, error))
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    let parsed = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    Ok(parsed.1.validity().not_after.timestamp())
}

fn read(file: File<'_>) -> Result<Vec<u8>, FileFault> {
    let len = fs::metadata(file.1).map(|found| found.len());
    let bytes = len.and_then(|len| match len > FILE_LEN_MAX {
        true => Err(io::Error::other(format!("it is longer than {FILE_LEN_MAX} bytes"))),
        false => fs::read(file.1),
    });
    let remedy = "check the path, and that the daemon's user may read it";
    bytes.map_err(|error| FileFault::new(file, remedy, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_suites_are_those_of_the_library() {
        let document = include_str!("../../../../docs/tls.md");
        let section = document.split("\n## Versions and suites\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let documented: Vec<_> =
            section.split('`').filter(|word| word.starts_with("TLS")).collect();
        let suites = ring::default_provider().cipher_suites;
        let found: Vec<_> = suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        assert_eq!(documented, found);
    }
}
