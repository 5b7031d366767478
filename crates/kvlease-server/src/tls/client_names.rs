//! Names in the certificate of a client.

use std::fmt;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate};

/// The most names of each kind that are kept: a certificate may have thousands.
const NAMES_MAX: usize = 64;

/// Names in the certificate that a client has shown, which an authority of the listener signed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct ClientNames {
    /// Common name of the subject; the last one, if there are several.
    pub(crate) common: Option<String>,
    /// Alternative names of the subject that are names of hosts.
    pub(crate) dns: Vec<String>,
    /// Alternative names of the subject that are URIs, such as SPIFFE ids.
    pub(crate) uris: Vec<String>,
}

impl ClientNames {
    /// The names in a certificate. One that cannot be read has none: it was verified all the same.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Self {
        parse_x509_certificate(certificate)
            .map_or_else(|_| Self::default(), |(_, it)| Self::of(&it))
    }

    /// All of them, whatever their kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.common.iter().chain(&self.dns).chain(&self.uris).map(String::as_str)
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let common = certificate.subject().iter_common_name().last();
        let common = common.and_then(|name| name.as_str().ok()).map(str::to_owned);
        let mut names = Self { common, ..Self::default() };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => keep(&mut names.dns, name),
                GeneralName::URI(name) => keep(&mut names.uris, name),
                _ => {}
            }
        }
        names
    }
}

fn keep(names: &mut Vec<String>, name: &str) {
    if names.len() < NAMES_MAX {
        names.push(name.to_owned());
    }
}

impl fmt::Display for ClientNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.common.iter().map(|name| format!("CN={name}"));
        let dns = self.dns.iter().map(|name| format!("DNS:{name}"));
        let uris = self.uris.iter().map(|name| format!("URI:{name}"));
        f.write_str(&common.chain(dns).chain(uris).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = Default::default();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn names_are_those_of_the_subject() {
        let found = ClientNames::read(&certificate(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "org");
            params.distinguished_name.push(DnType::CommonName, "engine-7");
            params.subject_alt_names = vec![
                SanType::DnsName("engine.example".try_into().unwrap()),
                SanType::URI("spiffe://example/ns/a".try_into().unwrap()),
                SanType::IpAddress([127, 0, 0, 1].into()),
            ];
        }));
        let expected = ClientNames {
            common: Some("engine-7".into()),
            dns: vec!["engine.example".into()],
            uris: vec!["spiffe://example/ns/a".into()],
        };
        assert_eq!(found, expected);
        assert_eq!(found.to_string(), "CN=engine-7,DNS:engine.example,URI:spiffe://example/ns/a");
    }

    #[test]
    fn a_certificate_without_names_and_one_with_too_many_are_read_as_well() {
        assert_eq!(ClientNames::read(&certificate(|_| {})), ClientNames::default());
        assert_eq!(ClientNames::read(&vec![0x30, 0x80].into()), ClientNames::default());
        let many = certificate(|params| {
            let name = |n: usize| SanType::DnsName(format!("h{n}.example").try_into().unwrap());
            params.subject_alt_names = (0..2 * NAMES_MAX).map(name).collect();
        });
        assert_eq!(ClientNames::read(&many).dns.len(), NAMES_MAX);
    }
}
