//! Daemon of a drill, its requests and its settings.

use kvlease_harness::{Daemon, Launch, Payload, await_that, daemon_binary, object};

/// Bucket of all objects of a drill.
pub(crate) const BUCKET: &str = "drill";

/// Settings of a start of the daemon.
pub(crate) fn launch(capacity: &str) -> Launch {
    Launch::new(daemon_binary(), capacity)
}

/// Daemon for one drill, with further settings.
pub(crate) fn daemon(capacity: &str, settings: &[&str]) -> Daemon {
    Daemon::start(launch(capacity).set(settings.iter().copied())).unwrap()
}

/// Settings for leases of at most this many seconds, with this grace.
pub(crate) fn lease_settings(ttl_max_s: &str, grace_s: &str) -> [String; 3] {
    [
        format!("lease.ttl_default_s={ttl_max_s}"),
        format!("lease.ttl_max_s={ttl_max_s}"),
        format!("lease.grace_s={grace_s}"),
    ]
}

/// Stores the first version of a key; returns the status.
pub(crate) fn put(daemon: &Daemon, key: &str, len: usize) -> u16 {
    let bytes = Payload::new(key, 1, len).bytes();
    daemon.call("PUT", &object(BUCKET, key), &bytes).unwrap().status
}

/// Status of a `GET`; the bytes are verified if there are any.
pub(crate) fn get(daemon: &Daemon, key: &str) -> u16 {
    let reply = daemon.call("GET", &object(BUCKET, key), b"").unwrap();
    if reply.status == 200 {
        Payload::verify(key, &reply.body).unwrap();
    }
    reply.status
}

/// Removes an object; returns the status.
pub(crate) fn remove(daemon: &Daemon, key: &str) -> u16 {
    daemon.call("DELETE", &object(BUCKET, key), b"").unwrap().status
}

/// Asks for a lease; returns status and id.
pub(crate) fn lease(daemon: &Daemon, key: &str, query: &str) -> (u16, String) {
    let path = format!("{}/leases?{query}", object(BUCKET, key));
    let reply = daemon.call("POST", &path, b"").unwrap();
    let body: serde_json::Value = reply.json();
    (reply.status, body["id"].as_str().unwrap_or_default().to_owned())
}

/// Releases a lease.
pub(crate) fn release(daemon: &Daemon, id: &str) {
    let reply = daemon.call("POST", &format!("/v1/leases/{id}/release"), b"").unwrap();
    assert_eq!(reply.status, 200);
}

/// Asserts that nothing is stored, leased, pending or missing.
pub(crate) fn assert_all_is_free(daemon: &Daemon) {
    await_that("everything is free", || {
        let stats = daemon.stats().unwrap();
        stats.leases + stats.writes + stats.quarantined + stats.stored == 0
            && (stats.free, stats.populated) == (stats.capacity, stats.capacity)
    });
}
