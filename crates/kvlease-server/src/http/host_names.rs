//! Names in `Host` that a daemon on the loopback interface answers to.
//!
//! A web page can make its own name resolve to 127.0.0.1, and its scripts then reach the daemon as
//! if it were the page's server. Such requests carry the page's name in `Host`. Addresses cannot be
//! rebound, and neither can names that this machine resolves by itself.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use http::{Request, header};
use kvlease_api::ErrorCode;

use super::reply::Refusal;

/// The file of names that the machine resolves by itself.
const HOSTS: &str = "/etc/hosts";

/// The file of the machine's name.
const NODE: &str = "/proc/sys/kernel/hostname";

/// A name that is the loopback interface for every resolver, and the ending of more of them.
const LOCALHOST: &str = "localhost";

/// Names that the daemon answers to.
#[derive(Debug)]
pub(super) struct HostNames {
    /// `None` if it answers to every name.
    known: Option<Vec<String>>,
    /// Values of the header that nearly all clients send, compared first.
    usual: [String; 2],
}

impl HostNames {
    /// Names of a daemon that listens on `address`, the configured ones among them.
    pub(super) fn new(address: SocketAddr, configured: &[String]) -> Self {
        let usual = [address.to_string(), format!("{LOCALHOST}:{}", address.port())];
        if !address.ip().to_canonical().is_loopback() {
            return Self { known: None, usual };
        }
        let node = fs::read_to_string(NODE).unwrap_or_default();
        let file = fs::read_to_string(HOSTS).unwrap_or_default();
        let of_machine = names_in(&file).chain([node.trim()]);
        let names = of_machine.chain(configured.iter().map(String::as_str));
        Self { known: Some(names.map(str::to_ascii_lowercase).collect()), usual }
    }

    /// Refuses a request for another name.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let Some(known) = &self.known else { return Ok(()) };
        // Nearly always the first header: it is found sooner so than by its hash.
        let host = request.headers().iter().find(|(name, _)| *name == header::HOST);
        let header = host.map(|(_, host)| host.as_bytes());
        // A target with a scheme has an authority of its own.
        let uri = request.uri();
        let target = uri.scheme().and_then(|_| uri.authority()).map(|name| name.as_str());
        let is_usual = |host| self.usual.iter().any(|usual| usual.as_bytes() == host);
        if target.is_none() && header.is_some_and(is_usual) {
            return Ok(());
        }
        let header = header.map(|host| String::from_utf8_lossy(host));
        let named = [target, header.as_deref()];
        let strange = named.into_iter().flatten().find(|name| !is_known(known, name));
        strange.map_or(Ok(()), |name| {
            let text = format!(
                "the daemon listens on the loopback interface and does not answer to this name: \
                 use its address, or set server.host_names, host=`{name}`"
            );
            Err(Refusal::closing(ErrorCode::Misdirected, text))
        })
    }
}

fn is_known(known: &[String], authority: &str) -> bool {
    let host = host_of(authority);
    // A zone belongs to an address of this machine.
    let address = host.split('%').next().unwrap_or_default();
    if host.is_empty() || address.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == LOCALHOST
        || name.strip_suffix(LOCALHOST).is_some_and(|rest| rest.ends_with('.'))
        || known.contains(&name)
}

/// The host without its port, and an address without its brackets.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Names of a file such as `/etc/hosts`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split_whitespace().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(names: &HostNames, host: &str) -> bool {
        let request = Request::builder().header("host", host).body(()).unwrap();
        names.check(&request).is_ok()
    }

    #[test]
    fn addresses_and_names_of_this_machine_are_answered_and_others_are_not() {
        let names = HostNames::new(([127, 0, 0, 1], 9200).into(), &["Cache.Example".to_owned()]);
        let node = fs::read_to_string(NODE).unwrap();
        let node = node.trim();
        for host in [
            "127.0.0.1:9200",
            "127.0.0.1",
            "10.1.2.3:80",
            "[::1]:9200",
            "localhost",
            "LOCALHOST:9200",
            "localhost.:9200",
            "pod.localhost",
            "cache.example:9200",
            &format!("{node}:9200"),
            "",
        ] {
            assert!(answers(&names, host), "{host}");
        }
        for host in
            ["evil.example:9200", "evil.example", "notlocalhost", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!answers(&names, host), "{host}");
        }
    }

    #[test]
    fn a_daemon_that_others_reach_answers_to_every_name() {
        let names = HostNames::new(([0, 0, 0, 0], 9200).into(), &[]);
        assert!(answers(&names, "node-7.cluster.example:9200"));
    }

    #[test]
    fn names_of_a_file_are_all_but_addresses_and_comments() {
        let text = "127.0.0.1 localhost a.b\n# 10.0.0.1 c\n\n::1\tip6 # d\n";
        assert_eq!(names_in(text).collect::<Vec<_>>(), ["localhost", "a.b", "ip6"]);
    }
}
