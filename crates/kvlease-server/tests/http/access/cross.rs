//! Attempts of one tenant on another, which learn and change nothing.

use kvlease_api::{LeaseReply, ListReply, StatsReply};
use kvlease_server::config::TenantConfig;

use super::{FOREIGN, NOTHING, OWN, ROOT, add, ask, ask_with, globs, shown, store, tenant, token};
use crate::{daemon::Daemon, wire::refused};

/// Two tenants, each with a bucket of its name and all rights on it, which share the arena.
fn daemon() -> Daemon {
    let of = |name: &str| {
        let own = || globs(&[name]);
        let (read, write, remove, list) = (own(), own(), own(), own());
        TenantConfig { read, write, remove, list, shares_arena: true, ..tenant(name) }
    };
    let daemon = Daemon::with(|config| add(config, [(OWN, of(OWN)), (FOREIGN, of(FOREIGN))]));
    store(&daemon, OWN, "k", b"mine");
    store(&daemon, FOREIGN, "k", b"theirs");
    daemon
}

#[test]
fn a_request_about_a_foreign_object_is_answered_as_one_about_nothing() {
    let daemon = daemon();
    // Every request that a client may try, also ones that are refused for what they say.
    let requests = [
        ("GET", "k", ""),
        ("GET", "k", "Range: bytes=0-1\r\n"),
        ("GET", "k", "If-None-Match: *\r\n"),
        ("HEAD", "k", ""),
        ("HEAD", "k/tiers", ""),
        ("DELETE", "k", ""),
        ("GET", "k/tiers", ""),
        ("GET", "k/locations", ""),
        ("POST", "k/leases", ""),
        ("POST", "k/leases?timeout_ms=1", ""),
        ("POST", "k/leases?ttl_s=x", ""),
        ("POST", "k/reports?generation=1", ""),
        ("POST", "k/reports", ""),
        ("PATCH", "k", ""),
        ("GET", "k/nothing", ""),
    ];
    for (method, rest, header) in requests {
        let headers = format!("Authorization: Bearer {}\r\n{header}", token(OWN));
        let target = |bucket: &str| format!("/v1/kv/{bucket}/{rest}");
        let foreign = ask_with(&daemon, &headers, method, &target(FOREIGN), b"");
        let nothing = ask_with(&daemon, &headers, method, &target(NOTHING), b"");
        assert_eq!(shown(&foreign), shown(&nothing), "{method} {rest} {header}");
        let as_root = ask(&daemon, Some(ROOT), method, &target(NOTHING), b"");
        assert_eq!(shown(&foreign), shown(&as_root), "{method} {rest} {header}");
    }
    for query in ["", "?limit=1", "?prefix=k", "?limit=0", "?cursor=0"] {
        let list = |bucket: &str| {
            shown(&ask(&daemon, Some(OWN), "GET", &format!("/v1/kv/{bucket}{query}"), b""))
        };
        assert_eq!(list(FOREIGN), list(NOTHING), "{query}");
    }
    let put =
        |bucket: &str, key| ask(&daemon, Some(OWN), "PUT", &format!("/v1/kv/{bucket}/{key}"), b"x");
    assert_eq!(put(FOREIGN, "k").refusal(), refused(403, "forbidden"));
    // Whether there is such an object makes no difference.
    assert_eq!(shown(&put(FOREIGN, "k")), shown(&put(FOREIGN, "absent")));
    let theirs = ask(&daemon, Some(FOREIGN), "GET", "/v1/kv/foreign/k", b"");
    assert_eq!(theirs.body, b"theirs", "nothing of it was changed");
}

#[test]
fn a_cursor_of_another_tenants_listing_is_of_no_use() {
    let daemon = daemon();
    (0..4).for_each(|n| store(&daemon, FOREIGN, &format!("k{n}"), b"x"));
    let page = ask(&daemon, Some(FOREIGN), "GET", "/v1/kv/foreign?limit=1", b"");
    let page: ListReply = page.json();
    let cursor = page.next.expect("there are more objects");
    let list = |bucket: &str| {
        shown(&ask(&daemon, Some(OWN), "GET", &format!("/v1/kv/{bucket}?cursor={cursor}"), b""))
    };
    assert_eq!(list(FOREIGN), list(NOTHING));
    assert_eq!(list(FOREIGN).0, 400);
}

#[test]
fn a_lease_of_another_tenant_is_an_unknown_one() {
    let daemon = daemon();
    let lease: LeaseReply =
        ask(&daemon, Some(FOREIGN), "POST", "/v1/kv/foreign/k/leases?ttl_s=30", b"").json();
    let stats = || -> StatsReply { ask(&daemon, Some(ROOT), "GET", "/v1/stats", b"").json() };
    assert_eq!(stats().leases, 1);
    let end = lease.id.rsplit_once('-').unwrap().1;
    let unknown = lease.id.replace(end, "0123456789abcdef");
    for action in ["renew", "release"] {
        let call = |name, id: &str| {
            let reply = ask(&daemon, Some(name), "POST", &format!("/v1/leases/{id}/{action}"), b"");
            let (status, headers, text) = shown(&reply);
            (status, headers, text.replace(id, "ID"))
        };
        for name in [OWN, ROOT] {
            assert_eq!(call(name, &lease.id), call(name, &unknown), "{name} {action}");
        }
        assert_eq!(stats().leases, 1, "{action}");
    }
    assert_eq!(
        ask(&daemon, Some(FOREIGN), "POST", &format!("/v1/leases/{}/renew", lease.id), b"").status,
        200
    );
    ask(&daemon, Some(FOREIGN), "POST", &format!("/v1/leases/{}/release", lease.id), b"");
    assert_eq!(stats().leases, 0);
}

#[test]
fn an_upload_that_is_refused_keeps_the_connection_if_it_is_short() {
    let daemon = daemon();
    let mut wire = daemon.wire();
    let head = |len: usize| {
        format!(
            "PUT /v1/kv/foreign/new HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {len}\r\n\r\n",
            token(OWN)
        )
    };
    for _ in 0..2 {
        wire.send(head(1 << 20));
        wire.send(vec![7; 1 << 20]);
        assert_eq!(wire.reply().refusal(), refused(403, "forbidden"));
    }
    wire.send(head(1 << 30));
    let reply = wire.reply();
    assert_eq!((reply.status, reply.header("connection")), (403, Some("close")));
    let stats: StatsReply = ask(&daemon, Some(ROOT), "GET", "/v1/stats", b"").json();
    assert_eq!(stats.objects, 2);
}

#[test]
fn a_daemon_without_tenants_takes_any_header() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let headers = "Authorization: Bearer x\r\n";
    assert_eq!(ask_with(&daemon, headers, "GET", "/v1/kv/b/k", b"").body, b"abc");
    assert!(daemon.metrics().contains("kvlease_tenants 0\n"));
}
