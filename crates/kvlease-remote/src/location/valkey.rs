//! URLs of Valkey and Redis.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::parts::{layout, split_path};
use crate::{layout::Layout, secret::Secret};

/// The port where the URL names none.
const PORT: u16 = 6379;

/// Scheme of a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scheme {
    tls: bool,
    cluster: bool,
}

impl Scheme {
    /// Reads `redis`, `rediss`, `redis-cluster`, `rediss-cluster`, and the same with `valkey`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("redis").or_else(|| text.strip_prefix("valkey"))?;
        let (tls, cluster) = match rest {
            "" => (false, false),
            "s" => (true, false),
            "-cluster" => (false, true),
            "s-cluster" => (true, true),
            _ => return None,
        };
        Some(Self { tls, cluster })
    }
}

/// Address of a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Where a Valkey or Redis server is, or some servers of a cluster.
#[derive(Debug)]
pub(crate) struct ValkeyLocation {
    pub(crate) servers: Vec<Server>,
    pub(crate) tls: bool,
    pub(crate) cluster: bool,
    pub(crate) database: i64,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) layout: Layout,
    /// The URL without its credentials.
    pub(crate) shown: String,
}

impl ValkeyLocation {
    /// Reads what follows the scheme: `[USER[:PASSWORD]@]HOST[:PORT],…[/DATABASE][/PREFIX]`.
    pub(super) fn parse(scheme: Scheme, rest: &str) -> Result<Self, String> {
        if rest.contains(['?', '#']) {
            return Err("the URL takes no query: write `redis://HOST:PORT/PREFIX`".to_owned());
        }
        let (authority, path) = split_path(rest);
        let (credentials, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let servers = servers.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        if servers.len() > 1 && !scheme.cluster {
            return Err("of a cluster, write `redis-cluster://HOST:PORT,HOST:PORT`".to_owned());
        }
        let (database, prefix) = database(path);
        if database != 0 && scheme.cluster {
            return Err("a cluster has no database: write a prefix behind the hosts".to_owned());
        }
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let present = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            shown: shown(scheme, &servers, path),
            servers,
            tls: scheme.tls,
            cluster: scheme.cluster,
            database,
            user: present(decode(user)?),
            password: present(decode(password)?).map(Secret::new),
            layout: layout(prefix)?,
        })
    }
}

fn server(text: &str) -> Result<Server, String> {
    if text.is_empty() {
        return Err("name a host: write `redis://HOST:PORT`".to_owned());
    }
    // The library reads hosts, IPv6 addresses among them, and ports.
    let url = Url::parse(&format!("redis://{text}")).map_err(|error| {
        format!("the host or the port is malformed, {error}: write `HOST:PORT`")
    })?;
    let host = match url.host() {
        Some(Host::Domain(host)) => host.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err("name a host: write `redis://HOST:PORT`".to_owned()),
    };
    Ok(Server { host, port: url.port().unwrap_or(PORT) })
}

/// The database and the prefix: a first segment that is a number names the database.
fn database(path: &str) -> (i64, &str) {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first.parse::<u16>() {
        Ok(database) => (i64::from(database), rest),
        Err(_) => (0, path),
    }
}

fn decode(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| "user and password are UTF-8, percent-encoded".to_owned())
}

fn shown(scheme: Scheme, servers: &[Server], path: &str) -> String {
    let tls = if scheme.tls { "s" } else { "" };
    let cluster = if scheme.cluster { "-cluster" } else { "" };
    let servers = servers.iter().map(Server::to_string).collect::<Vec<_>>().join(",");
    let slash = if path.is_empty() { "" } else { "/" };
    format!("redis{tls}{cluster}://{servers}{slash}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> ValkeyLocation {
        let (scheme, rest) = url.split_once("://").unwrap();
        ValkeyLocation::parse(Scheme::read(scheme).unwrap(), rest).unwrap()
    }

    #[test]
    fn urls_have_databases_prefixes_and_credentials() {
        let plain = parse("redis://cache");
        assert_eq!(plain.servers, [Server { host: "cache".to_owned(), port: PORT }]);
        assert_eq!((plain.tls, plain.cluster, plain.database), (false, false, 0));
        assert_eq!(plain.layout.object("b", "k"), "kvlease/v1/b/k");

        let full = parse("valkeys://me:p%40ss@cache:7/2/team/kv/");
        assert_eq!((full.tls, full.database), (true, 2));
        assert_eq!(full.user.as_deref(), Some("me"));
        assert_eq!(full.password.unwrap().expose(), "p@ss");
        assert_eq!(full.layout.object("b", "k"), "team/kv/v1/b/k");
        assert_eq!(full.shown, "rediss://cache:7/2/team/kv");

        let cluster = parse("redis-cluster://:secret@a:1,[::1]:2/kv");
        assert_eq!((cluster.cluster, cluster.servers.len()), (true, 2));
        assert_eq!(cluster.user, None);
        assert_eq!(cluster.shown, "redis-cluster://a:1,[::1]:2/kv");
        assert!(!format!("{cluster:?}").contains("\"secret\""));
    }
}
