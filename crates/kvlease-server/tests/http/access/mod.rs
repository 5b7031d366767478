//! Tenants over real sockets: who is let in, what each may do, and what the others learn of it.

mod arenas;
mod audit;
mod cross;
mod frames;
mod logins;
mod matrix;
mod places;
mod quotas;
mod quotas_lane;
mod salts;
mod scan;

use kvlease_server::config::{BucketGlob, Config, TenantConfig, TokenHash};

use crate::{daemon::Daemon, wire::Reply};

/// Bucket of which tenants have rights, and one of which only the operator's tenant has.
const OWN: &str = "b";
const FOREIGN: &str = "foreign";

/// Bucket in which nothing is ever stored.
const NOTHING: &str = "nothing";

/// The operator's tenant, which may do everything.
const ROOT: &str = "root";

/// A tenant with the token of its name and no rights.
fn tenant(name: &str) -> TenantConfig {
    TenantConfig { token_sha256: vec![TokenHash::of(token(name).as_bytes())], ..Default::default() }
}

/// The operator's tenant.
fn root() -> TenantConfig {
    let all = || globs(&["*"]);
    let (read, write, remove, list) = (all(), all(), all(), all());
    TenantConfig { read, write, remove, list, admin: true, ..tenant(ROOT) }
}

fn token(name: &str) -> String {
    format!("token of {name}").replace(' ', "-")
}

fn globs(patterns: &[&str]) -> Vec<BucketGlob> {
    patterns.iter().map(|pattern| BucketGlob::parse(pattern).unwrap()).collect()
}

/// Patterns of the bucket that tenants have rights on, and of the namespace of checkpoints of the same name.
fn own() -> Vec<BucketGlob> {
    globs(&[OWN, &format!("kvlease:checkpoint:{OWN}")])
}

/// Adds tenants, and the operator's.
fn add<'n>(config: &mut Config, tenants: impl IntoIterator<Item = (&'n str, TenantConfig)>) {
    let tenants = tenants.into_iter().chain([(ROOT, root())]);
    config.tenants.extend(tenants.map(|(name, tenant)| (name.to_owned(), tenant)));
}

/// Request of a tenant, with more headers. Of a stream the head is the answer.
fn ask(daemon: &Daemon, name: Option<&str>, method: &str, target: &str, body: &[u8]) -> Reply {
    let authorization = name.map(|name| format!("Authorization: Bearer {}\r\n", token(name)));
    ask_with(daemon, &authorization.unwrap_or_default(), method, target, body)
}

fn ask_with(daemon: &Daemon, headers: &str, method: &str, target: &str, body: &[u8]) -> Reply {
    let mut wire = daemon.wire();
    wire.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: d\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    ));
    wire.send(body);
    if method != "HEAD" && !target.starts_with("/v1/events") {
        return wire.reply();
    }
    let mut reply = wire.reply_to_head();
    // A stream has no length, and its refusal has one.
    if method != "HEAD"
        && let Some(len) = reply.header("content-length")
    {
        let len = len.parse().unwrap();
        reply.body = wire.take(len);
    }
    reply
}

/// Stores an object as the operator's tenant.
fn store(daemon: &Daemon, bucket: &str, key: &str, bytes: &[u8]) {
    let reply = ask(daemon, Some(ROOT), "PUT", &format!("/v1/kv/{bucket}/{key}"), bytes);
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// A reply without what differs from one to the next.
fn shown(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let known = ["content-type", "content-length", "retry-after", "www-authenticate", "allow"];
    let ours = ["kvlease-socket", "kvlease-epoch", "kvlease-segment", "kvlease-checksum-xxh3"];
    let headers = known.iter().chain(&ours);
    let headers =
        headers.filter_map(|name| Some(((*name).to_owned(), reply.header(name)?.to_owned())));
    (reply.status, headers.collect(), reply.text())
}
