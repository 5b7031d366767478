//! Authorities that may have signed a store's certificate.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::RemoteError;

/// Certificates of the authorities that are trusted: the system's, and those of a file.
#[derive(Clone, Debug)]
pub(crate) struct Authorities {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads the certificates.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, RemoteError> {
        let mut authorities = Self { roots: RootCertStore::empty(), certificates: Vec::new() };
        for certificate in rustls_native_certs::load_native_certs().certs {
            // One certificate that cannot be read is no reason to do without the others.
            let _added = authorities.add(certificate);
        }
        if let Some(path) = file {
            let added = read_file(path)
                .and_then(|found| found.into_iter().try_for_each(|one| authorities.add(one)));
            added.map_err(|error| RemoteError::CaFile {
                path: PathBuf::from(path),
                reason: error.to_string(),
            })?;
        }
        Ok(authorities)
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> io::Result<()> {
        self.roots.add(certificate.clone()).map_err(io::Error::other)?;
        self.certificates.push(certificate);
        Ok(())
    }

    /// Encrypted connections to stores that have a certificate of these authorities.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(self.roots.clone()).with_no_client_auth())
    }

    /// The certificates as one PEM file.
    #[cfg(feature = "valkey")]
    pub(crate) fn pem(&self) -> Vec<u8> {
        let blocks = self.certificates.iter().map(|one| pem::Pem::new("CERTIFICATE", one.to_vec()));
        pem::encode_many(&blocks.collect::<Vec<_>>()).into_bytes()
    }
}

fn read_file(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = std::fs::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(io::Error::other)?;
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it has no certificate")),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_no_certificate_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, part) in [
            (None, "No such file"),
            (Some(""), "it has no certificate"),
            (Some("no PEM at all"), "it has no certificate"),
            (Some(garbage), "invalid peer certificate"),
        ] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let error = Authorities::read(Some(&path)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(error.ends_with(&format!("tier.remote.tls_ca_file=`{}`", path.display())));
        }
    }
}
