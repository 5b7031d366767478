//! Address of a daemon, as operators and LMCache's configuration write it.
//!
//! A url that cannot be meant is refused with the reason: a query that would be lost, a variable
//! that was not expanded. An accepted url is kept as it is, so that the requests go exactly there.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use http::uri::Authority;

/// The port that an address without one means.
pub const DEFAULT_PORT: u16 = 9200;

/// Schemes that name the protocol. Plain HTTP is meant, unless `http://` or `https://` follows.
const PROTOCOL_SCHEMES: [&str; 2] = ["kvlease", "sagemaker-hyperpod"];

/// The characters that a path may have beside letters, digits and `%XX`.
const PATH_PUNCTUATION: &[u8] = b"/-._~!$&'()*+,;=:@";

/// Host, port and path prefix of a daemon. Cheap to clone.
///
/// Parses `http://host:port`, `https://host:port`, `kvlease://host:port`,
/// `sagemaker-hyperpod://host:port` and `host:port`. The two in the middle may have an `http://` or
/// `https://` of their own behind them. Without a port it is [`DEFAULT_PORT`], whatever the
/// scheme. An IPv6 address is written in brackets. A path is put in front of those of the
/// protocol.
///
/// Prints the `http://` or `https://` form, which parses to the same address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(Arc<Parts>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Parts {
    is_https: bool,
    /// Without the brackets of an IPv6 address.
    host: Box<str>,
    port: u16,
    /// Empty, or with a slash in front and none at the end.
    path: Box<str>,
}

impl Address {
    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The path in front of those of the protocol: empty, or with a slash in front and none at the
    /// end.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Whether connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.0.is_https
    }

    /// The same place over encrypted connections.
    #[must_use]
    pub fn with_https(&self) -> Self {
        Self(Arc::new(Parts { is_https: true, ..Parts::clone(&self.0) }))
    }

    /// Whether it is this machine's, whatever names resolve to.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// `host:port` as the `Host` header has it: without a zone, which means nothing elsewhere.
    pub(crate) fn authority(&self) -> String {
        let host = self.host().split('%').next().unwrap_or_default();
        in_brackets(host, self.port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", in_brackets(self.host(), self.port()), self.path())
    }
}

/// Host and port, an IPv6 address in brackets.
fn in_brackets(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Reason why a text is no address of a daemon.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// The scheme is none that the client speaks.
    #[error(
        "the url has a scheme that the client does not speak: \
         use http, https, kvlease or sagemaker-hyperpod, url=`{url}`"
    )]
    Scheme {
        /// The text that was given.
        url: String,
    },
    /// There is no usable host and port, or a path that cannot be sent.
    #[error("the url names no daemon: write `http://host:port`, url=`{url}`")]
    Malformed {
        /// The text that was given.
        url: String,
    },
    /// There is a query, which no request could carry along.
    #[error("the url has a query, which the protocol has no place for: leave it out, url=`{url}`")]
    Query {
        /// The text that was given.
        url: String,
    },
    /// There is a fragment, which no request carries.
    #[error("the url has a fragment, which is never sent: leave it out, url=`{url}`")]
    Fragment {
        /// The text that was given.
        url: String,
    },
    /// There is a user or a password. It is not repeated here.
    #[error(
        "the url has a user or a password, which the protocol has no place for: \
         leave out what is in front of the `@`, host=`{host}`"
    )]
    UserInfo {
        /// The text that was given, less user and password.
        host: String,
    },
    /// The host has an environment variable that was not expanded.
    #[error(
        "the url has a variable that was not expanded: declare it before the url in the pod's env \
         list, or export it before the engine starts, variable=`{variable}` url=`{url}`"
    )]
    Variable {
        /// The variable's name.
        variable: String,
        /// The text that was given.
        url: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = text.trim();
        let malformed = || AddressError::Malformed { url: url.to_owned() };
        let (is_https, rest) = split_scheme(url)?;
        let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        refuse_by_name(url, authority, path)?;
        let path = path.trim_end_matches('/');
        if !is_path(path.as_bytes()) {
            return Err(malformed());
        }
        let (host, port) = split_authority(authority).ok_or_else(malformed)?;
        Ok(Self(Arc::new(Parts { is_https, host: host.into(), port, path: path.into() })))
    }
}

/// Whether encryption is meant, and what follows the scheme.
fn split_scheme(url: &str) -> Result<(bool, &str), AddressError> {
    let inner = PROTOCOL_SCHEMES
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")));
    let rest = inner.unwrap_or(url);
    if let Some(rest) = rest.strip_prefix("https://") {
        return Ok((true, rest));
    }
    if let Some(rest) = rest.strip_prefix("http://") {
        return Ok((false, rest));
    }
    match rest.contains("://") {
        true => Err(AddressError::Scheme { url: url.to_owned() }),
        false => Ok((false, rest)),
    }
}

/// Refuses faults that have a name, so that the message can name the remedy.
fn refuse_by_name(url: &str, authority: &str, path: &str) -> Result<(), AddressError> {
    if let Some((_, host)) = authority.rsplit_once('@') {
        return Err(AddressError::UserInfo { host: host.to_owned() });
    }
    if let Some(variable) = unexpanded(authority) {
        return Err(AddressError::Variable { variable: variable.to_owned(), url: url.to_owned() });
    }
    match path.find(['?', '#']).map(|at| path.as_bytes()[at]) {
        None => Ok(()),
        Some(b'?') => Err(AddressError::Query { url: url.to_owned() }),
        Some(_) => Err(AddressError::Fragment { url: url.to_owned() }),
    }
}

/// The name in `$NAME`, `${NAME}` or `$(NAME)`, the last as Kubernetes leaves it.
fn unexpanded(authority: &str) -> Option<&str> {
    let (_, rest) = authority.split_once('$')?;
    let rest = rest.strip_prefix(['{', '(']).unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The host without brackets, and the port.
fn split_authority(text: &str) -> Option<(&str, u16)> {
    let authority: Authority = text.parse().ok()?;
    // The parsed host is a part of the text: the text is borrowed for longer.
    let (host, rest) = text.split_at(authority.host().len());
    let port = match rest {
        "" => DEFAULT_PORT,
        _ => {
            let digits = rest.strip_prefix(':')?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|port| *port != 0 && is_number)?
        }
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.len() < host.len() {
        // What follows a percent sign names the interface.
        let (address, interface) = bare.split_once('%').unwrap_or((bare, "any"));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        address.parse::<Ipv6Addr>().ok()?;
        (!interface.is_empty() && interface.bytes().all(is_name)).then_some(())?;
    }
    (!bare.is_empty()).then_some((bare, port))
}

/// Whether the text can stand in a request line as it is.
fn is_path(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'%' if after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit) => &after[2..],
            byte if byte.is_ascii_alphanumeric() || PATH_PUNCTUATION.contains(byte) => after,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> AddressError {
        text.parse::<Address>().expect_err(text)
    }

    #[test]
    fn every_known_form_is_understood_and_prints_a_form_that_parses_to_the_same() {
        for (text, printed) in [
            ("http://127.0.0.1:9300", "http://127.0.0.1:9300"),
            ("https://node:443", "https://node:443"),
            ("https://node", "https://node:9200"),
            ("kvlease://node-7:1", "http://node-7:1"),
            ("kvlease://https://node-7:1", "https://node-7:1"),
            ("sagemaker-hyperpod://127.0.0.1:9200/", "http://127.0.0.1:9200"),
            ("sagemaker-hyperpod://http://node", "http://node:9200"),
            ("sagemaker-hyperpod://https://node/", "https://node:9200"),
            ("http://gateway/kv/node%207//", "http://gateway:9200/kv/node%207"),
            ("https://[::1]:7/a", "https://[::1]:7/a"),
            ("localhost:80", "http://localhost:80"),
            (" localhost\n", "http://localhost:9200"),
            ("http://[::1]", "http://[::1]:9200"),
            ("[::1]:7", "http://[::1]:7"),
            ("node:1/a:b@c$d", "http://node:1/a:b@c$d"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Address>().unwrap(), address, "{text}");
        }
        assert_eq!("[::1]:7".parse::<Address>().unwrap().host(), "::1");
    }

    #[test]
    fn https_can_be_switched_on_and_keeps_the_rest() {
        let address: Address = "kvlease://node:1/a".parse().unwrap();
        assert!(!address.is_https());
        assert_eq!(address.with_https().to_string(), "https://node:1/a");
        assert_eq!(address.with_https().with_https(), address.with_https());
    }

    #[test]
    fn what_names_no_daemon_is_malformed() {
        for text in [
            "",
            "http://",
            ":9200",
            "http://host:",
            "http://host:port",
            "http://host:70000",
            "http://host:0",
            "http://host:+80",
            "http://[:1]:80",
            "http://[::1]1:80",
            "http://[::1%]:80",
            "http://[::1%eth%0]:80",
            "http://host:1/a b",
            "http://host:1/%4",
            "http://host:1/\u{fc}",
            "http:///path",
            "::1",
            "a b",
        ] {
            assert_eq!(refused(text), AddressError::Malformed { url: text.trim().to_owned() });
        }
        for text in ["redis://host", "://host", "kvlease://redis://host", "HTTP+unix://host"] {
            assert_eq!(refused(text), AddressError::Scheme { url: text.to_owned() });
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_name() {
        let url = || "http://h:1/a?b=c".to_owned();
        assert_eq!(refused(&url()), AddressError::Query { url: url() });
        assert_eq!(refused("h?"), AddressError::Query { url: "h?".to_owned() });
        assert_eq!(refused("http://h#f?"), AddressError::Fragment { url: "http://h#f?".into() });
        let error = refused("http://me:secret@host:1/path");
        assert_eq!(error, AddressError::UserInfo { host: "host:1".to_owned() });
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_unexpanded_variable_is_named_with_its_remedy() {
        for text in [
            "sagemaker-hyperpod://$NODE_IP:9200",
            "sagemaker-hyperpod://${NODE_IP}:9200",
            "sagemaker-hyperpod://$(NODE_IP):9200",
            "https://10.0.0.$NODE_IP",
        ] {
            let url = text.to_owned();
            let error = refused(text);
            assert_eq!(error, AddressError::Variable { variable: "NODE_IP".to_owned(), url });
            assert!(error.to_string().contains("before the url in the pod's env list"), "{error}");
        }
    }
}
