//! Where a daemon listens, as people and LMCache's configuration write it.

use std::{fmt, str::FromStr};

use http::{HeaderValue, uri::Authority};

/// The port that an address without one means.
pub const DEFAULT_PORT: u16 = 9200;

/// Schemes that mean plain HTTP. A text without a scheme means it as well.
const SCHEMES: [&str; 3] = ["http", "kvlease", "sagemaker-hyperpod"];

/// Host and port of a daemon.
///
/// Parses `http://host:port`, `kvlease://host:port`, `sagemaker-hyperpod://host:port` and
/// `host:port`, each with [`DEFAULT_PORT`] when there is no port and with brackets around an IPv6
/// address; prints the `http://` form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    host: Box<str>,
    port: u16,
    authority: HeaderValue,
}

impl Address {
    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, for the `Host` header.
    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

/// Why a text is no address of a daemon.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// The scheme is none that the client speaks.
    #[error(
        "the url has a scheme that the client does not speak: \
         use http, kvlease or sagemaker-hyperpod, url=`{url}`"
    )]
    Scheme {
        /// What was given.
        url: String,
    },
    /// There is no usable host and port.
    #[error("the url names no daemon: write `http://host:port` and nothing more, url=`{url}`")]
    Malformed {
        /// What was given.
        url: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed { url: url.to_owned() };
        let rest = match url.trim().split_once("://") {
            None => url.trim(),
            Some((scheme, rest)) if SCHEMES.contains(&scheme) => rest,
            Some(_) => return Err(AddressError::Scheme { url: url.to_owned() }),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(malformed());
        }
        let authority: Authority = rest.parse().map_err(|_| malformed())?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => DEFAULT_PORT,
            _ => authority.port_u16().ok_or_else(malformed)?,
        };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err(malformed());
        }
        let header = HeaderValue::try_from(format!("{host}:{port}")).map_err(|_| malformed())?;
        Ok(Self { host: bare.into(), port, authority: header })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_scheme_means_plain_http() {
        for (text, address) in [
            ("http://127.0.0.1:9300", "http://127.0.0.1:9300"),
            ("kvlease://node-7:1", "http://node-7:1"),
            ("sagemaker-hyperpod://127.0.0.1:9200/", "http://127.0.0.1:9200"),
            ("localhost:80", "http://localhost:80"),
            ("localhost", "http://localhost:9200"),
            ("http://[::1]", "http://[::1]:9200"),
            ("[::1]:7", "http://[::1]:7"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), address, "{text}");
        }
        assert_eq!("[::1]:7".parse::<Address>().unwrap().host(), "::1");
    }

    #[test]
    fn other_urls_are_refused_by_name() {
        for text in [
            "",
            "http://",
            ":9200",
            "http://host:",
            "http://host:port",
            "http://host:70000",
            "http://user@host:1",
            "http://host:1/path",
            "::1",
            "a b",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, AddressError::Malformed { url: text.to_owned() }, "{text}");
        }
        for text in ["https://host:1", "redis://host", "://host"] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, AddressError::Scheme { url: text.to_owned() }, "{text}");
        }
    }
}
