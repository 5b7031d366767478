//! Listeners beside the first.

use kvlease_harness::wire::{Wire, refused};
use kvlease_server::config::{ListenerConfig, Serves};
use kvlease_testing::bytes;

use super::{Authority, encrypted, listener};
use crate::daemon::Daemon;

#[test]
fn a_listener_of_operators_answers_them_alone() {
    let daemon = Daemon::with(|config| {
        config.listeners.insert("operators".into(), listener(Serves::Operators));
        config.listeners.insert("second".into(), listener(Serves::All));
    });
    daemon.put("k", b"abc");
    let mut wire = Wire::open(daemon.listener("operators"));
    for path in ["/healthz", "/readyz", "/metrics", "/v1/stats", "/openapi.json"] {
        assert_eq!(wire.call("GET", path).status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/v1/kv/b/k"),
        ("POST", "/v1/kv/b/k/leases"),
        ("DELETE", "/v1/kv/b/k"),
        ("GET", "/v1/kv/b"),
        ("GET", "/v1/events"),
        ("GET", "/v1/buckets"),
        ("DELETE", "/v1/buckets/b/policy"),
    ] {
        assert_eq!(wire.call(method, path).refusal(), refused(421, "misdirected"), "{path}");
    }
    let refusal = wire.put("/v1/kv/b/new", &bytes(1 << 20, 1)).refusal();
    assert_eq!(refusal, refused(421, "misdirected"), "the body is taken in");
    assert_eq!(wire.call("GET", "/no/such/path").status, 404);
    assert_eq!(wire.call("GET", "/healthz").status, 200);
    let mut second = Wire::open(daemon.listener("second"));
    assert_eq!(second.call("GET", "/v1/kv/b/k").body, b"abc");
    second.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(second.reply().status, 421, "each listener looks at names");
}

#[test]
fn one_listener_is_encrypted_and_another_is_not() {
    let authority = Authority::new();
    let daemon = Daemon::with(|config| {
        let tls = Some(authority.daemon_files());
        config.listeners.insert("tls".into(), ListenerConfig { tls, ..listener(Serves::All) });
    });
    daemon.put("k", b"abc");
    let mut wire = authority.open(daemon.listener("tls"));
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, b"abc");
}

#[test]
fn all_listeners_end_with_the_daemon() {
    let authority = Authority::new();
    let mut daemon = encrypted(&authority, |config| {
        config.listeners.insert("second".into(), listener(Serves::All));
    });
    let addresses = ["operators", "second"].map(|name| daemon.listener(name));
    let mut open = addresses.map(Wire::open);
    daemon.begin_shutdown()();
    for (wire, address) in open.iter_mut().zip(addresses) {
        assert_eq!(wire.rest(), b"");
        assert!(Wire::try_open(address).is_err());
    }
}
