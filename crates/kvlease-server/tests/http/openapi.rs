//! The daemon answers what its OpenAPI document says, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kvlease_testing::bytes;
use kvlease_types::ByteSize;
use serde_json::Value;

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::{Reply, Wire},
};

const CHECKED_IN: &str = include_str!("../../../kvlease-api/openapi.json");

/// Method and path template.
type Operation = (String, String);

fn documented() -> BTreeMap<Operation, BTreeSet<u16>> {
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let mut documented = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys();
            // `framing.rs` shows the status that all requests have in common, and `access/` those of tenants.
            let common = ["401", "403", "429", "431"];
            let statuses = statuses.filter(|status| !common.contains(&status.as_str()));
            let statuses = statuses.map(|status| status.parse().unwrap()).collect();
            documented.insert((method.to_uppercase(), path.clone()), statuses);
        }
    }
    documented
}

#[test]
fn the_served_document_is_the_checked_in_one() {
    let daemon = Daemon::start();
    let reply = daemon.wire().call("GET", "/openapi.json");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.text(), CHECKED_IN);
    assert_eq!(reply.text(), kvlease_api::openapi_document());
}

#[test]
fn every_documented_operation_is_served() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for (method, path) in documented().keys() {
        let path = path.replace("{bucket}", "b").replace("{key}", "k").replace("{id}", "x");
        let path = path.replace("{namespace}", "n").replace("{rank}", "0").replace("{step}", "1");
        let path = path.replace("{asset}", "none.js");
        // `events.rs` reads the stream.
        if path == EVENTS && method == "GET" {
            continue;
        }
        // A body that is not asked for may end the connection.
        let uploads = method == "PUT" && path == "/v1/kv/b/k";
        let reply = if uploads { wire.put(&path, b"1") } else { wire.call(method, &path) };
        if method != "HEAD" && reply.status != 200 {
            let (_, code) = reply.refusal();
            assert!(code != "no_route" && code != "method_not_allowed", "{method} {path}: {code}");
        }
    }
}

/// Statuses that the daemon was made to answer with, by operation.
#[derive(Default)]
struct Provoked(BTreeMap<Operation, BTreeSet<u16>>);

impl Provoked {
    fn note(&mut self, method: &str, template: &str, reply: &Reply) {
        let operation = (method.to_owned(), template.to_owned());
        self.0.entry(operation).or_default().insert(reply.status);
    }

    fn call(&mut self, wire: &mut Wire, method: &str, template: &str, target: &str) {
        let reply = wire.call(method, target);
        self.note(method, template, &reply);
        // An object has a HEAD of its own.
        if method == "GET" && template != OBJECT {
            let reply = wire.call("HEAD", target);
            self.note("HEAD", template, &reply);
        }
    }
}

const OBJECT: &str = "/v1/kv/{bucket}/{key}";
const EVENTS: &str = "/v1/events";
const LEASES: &str = "/v1/kv/{bucket}/{key}/leases";

fn provoke_uploads(provoked: &mut Provoked, daemon: &Daemon) {
    let mut wire = daemon.wire();
    let mut put = |target: &str, body: &[u8]| {
        let reply = wire.put(target, body);
        provoked.note("PUT", OBJECT, &reply);
    };
    put("/v1/kv/b/k", &bytes(3 << 20, 1));
    put("/v1/kv/b/k", b"again");
    put("/v1/kv/b/%", b"bad");
    put("/v1/kv/b/large", &bytes(5 << 20, 2));
    daemon.lease("k");
    put("/v1/kv/b/second", &bytes(2 << 20, 3));
    provoked.call(&mut wire, "PUT", OBJECT, "/v1/kv/b/unsized");
    let mut stalled = daemon.wire();
    stalled.begin_put("/v1/kv/b/stalled", 100);
    provoked.note("PUT", OBJECT, &stalled.reply());
    // That one may be given up at any moment: another daemon waits for longer.
    let patient = Daemon::start();
    let (mut writing, mut wire) = (patient.wire(), patient.wire());
    writing.begin_put("/v1/kv/b/writing", 100);
    patient.until("the write", |stats| stats.writes == 1);
    provoked.call(&mut wire, "DELETE", OBJECT, "/v1/kv/b/writing");
    provoked.call(&mut wire, "POST", LEASES, "/v1/kv/b/writing/leases?timeout_ms=1");
}

fn provoke_leases(provoked: &mut Provoked, daemon: &Daemon) {
    let mut wire = daemon.wire();
    provoked.call(&mut wire, "POST", LEASES, "/v1/kv/b/absent/leases");
    provoked.call(&mut wire, "POST", LEASES, "/v1/kv/b/k/leases?ttl_s=0");
    provoked.call(&mut wire, "GET", OBJECT, "/v1/kv/b/k");
    let second = daemon.lease("k");
    provoked.call(&mut wire, "POST", LEASES, "/v1/kv/b/k/leases");
    provoked.call(&mut wire, "GET", OBJECT, "/v1/kv/b/k");
    for (action, template) in
        [("renew", "/v1/leases/{id}/renew"), ("release", "/v1/leases/{id}/release")]
    {
        for id in [second.id.as_str(), "unknown", "a.b"] {
            provoked.call(&mut wire, "POST", template, &format!("/v1/leases/{id}/{action}"));
        }
    }
    provoked.call(&mut wire, "POST", LEASES, "/v1/kv/b/k/leases");
}

fn provoke_the_rest(provoked: &mut Provoked, daemon: &Daemon) {
    let mut wire = daemon.wire();
    for (method, template, suffix) in [
        ("HEAD", OBJECT, ""),
        ("GET", OBJECT, ""),
        ("GET", "/v1/kv/{bucket}/{key}/locations", "/locations"),
        ("GET", "/v1/kv/{bucket}/{key}/tiers", "/tiers"),
        ("POST", "/v1/kv/{bucket}/{key}/reports", "/reports?generation=x"),
        ("POST", "/v1/kv/{bucket}/{key}/reports", "/reports"),
        ("DELETE", OBJECT, ""),
    ] {
        for key in ["k", "absent", "%"] {
            provoked.call(&mut wire, method, template, &format!("/v1/kv/b/{key}{suffix}"));
        }
    }
    for query in ["", "?limit=0"] {
        provoked.call(&mut wire, "GET", "/v1/kv/{bucket}", &format!("/v1/kv/b{query}"));
    }
    for query in ["", "?buckets_limit=0"] {
        provoked.call(&mut wire, "GET", "/v1/stats", &format!("/v1/stats{query}"));
    }
    for query in ["", "?span=week"] {
        for path in ["/", "/v1/history"] {
            provoked.call(&mut wire, "GET", path, &format!("{path}{query}"));
        }
    }
    let page = wire.call("GET", "/").text();
    let asset = page.split("assets/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    for name in [asset, "none.js", "%"] {
        provoked.call(&mut wire, "GET", "/assets/{asset}", &format!("/assets/{name}"));
    }
    provoked.call(&mut wire, "GET", EVENTS, &format!("{EVENTS}?timeout_ms=x"));
    provoked.note("GET", EVENTS, &wire.call("HEAD", EVENTS));
    provoked.call(&mut wire, "HEAD", EVENTS, EVENTS);
    provoke_policies(provoked, daemon);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", BUCKETS] {
        provoked.call(&mut wire, "GET", path, path);
    }
}

const BUCKETS: &str = "/v1/buckets";
const POLICY: &str = "/v1/buckets/{bucket}/policy";

fn provoke_policies(provoked: &mut Provoked, daemon: &Daemon) {
    let mut wire = daemon.wire();
    for method in ["GET", "PUT", "GET", "DELETE", "DELETE"] {
        provoked.call(&mut wire, method, POLICY, "/v1/buckets/b/policy");
        provoked.call(&mut wire, method, POLICY, "/v1/buckets/%/policy");
    }
    for number in 0..=64 {
        provoked.call(&mut wire, "PUT", POLICY, &format!("/v1/buckets/b{number}/policy"));
    }
}

const SHARD: &str = "/v1/cp/checkpoints/{namespace}/{rank}/{step}";
const NAMESPACE: &str = "/v1/cp/namespaces/{namespace}";
const LATEST: &str = "/v1/cp/checkpoints/{namespace}/latest";

fn provoke_checkpoints(provoked: &mut Provoked, daemon: &Daemon) {
    let mut wire = daemon.wire();
    for (method, query) in [
        ("POST", "?num_ranks=1"),
        ("POST", "?num_ranks=2"),
        ("POST", ""),
        ("GET", ""),
        ("GET", "%"),
    ] {
        provoked.call(&mut wire, method, NAMESPACE, &format!("/v1/cp/namespaces/n{query}"));
    }
    let mut post = |target: &str, body: &[u8]| {
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.send(head);
        wire.send(body);
        let reply = wire.reply();
        provoked.note("POST", SHARD, &reply);
    };
    post("/v1/cp/checkpoints/n/0/1", b"shard");
    post("/v1/cp/checkpoints/absent/0/1", b"shard");
    post("/v1/cp/checkpoints/n/x/1", b"shard");
    post("/v1/cp/checkpoints/n/0/2", &bytes(3 << 20, 1));
    provoked.call(&mut wire, "POST", SHARD, "/v1/cp/checkpoints/n/0/1");
    let mut stalled = daemon.wire();
    stalled.send("POST /v1/cp/checkpoints/n/0/3 HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n");
    provoked.note("POST", SHARD, &stalled.reply());
    for name in ["n/latest", "absent/latest", "n/latest?limit=0"] {
        provoked.call(&mut wire, "GET", LATEST, &format!("/v1/cp/checkpoints/{name}"));
    }
    for method in ["GET", "DELETE"] {
        for name in ["n/0/1", "n/0/9", "n/0/x"] {
            provoked.call(&mut wire, method, SHARD, &format!("/v1/cp/checkpoints/{name}"));
        }
    }
    // No room for another namespace than those that fill the quota.
    for n in 0..32 {
        let target = format!("/v1/cp/namespaces/m{n}?num_ranks=1");
        provoked.call(&mut wire, "POST", NAMESPACE, &target);
    }
    for name in ["n", "n", "%"] {
        provoked.call(&mut wire, "DELETE", NAMESPACE, &format!("/v1/cp/namespaces/{name}"));
    }
    provoked.call(&mut wire, "GET", NAMESPACE, "/v1/cp/namespaces/n");
    let reset = "/v1/cp/cluster/reset";
    provoked.call(&mut wire, "POST", reset, reset);
}

/// A removal and a question that a tier does not answer: nothing listens there.
fn provoke_a_tier(provoked: &mut Provoked) {
    let daemon =
        Daemon::with(|config| config.remote_url = Some("redis://127.0.0.1:1".parse().unwrap()));
    daemon.put("k", b"bytes");
    provoked.call(&mut daemon.wire(), "DELETE", OBJECT, "/v1/kv/b/k");
    assert_eq!(daemon.status_of("k"), 404);
    provoked.call(&mut daemon.wire(), "GET", "/v1/kv/{bucket}/{key}/tiers", "/v1/kv/b/k/tiers");
}

#[test]
fn every_status_is_documented_and_every_documented_status_occurs() {
    let mut daemon = Daemon::with(|config| {
        config.capacity = Some(ByteSize::mib(4));
        config.object_len_max = ByteSize::mib(4);
        config.leases_max = Some(2);
        config.put_stall_timeout = Duration::from_millis(1_500);
        config.drain_timeout = WAIT_MAX;
    });
    let mut provoked = Provoked::default();
    provoke_uploads(&mut provoked, &daemon);
    provoke_leases(&mut provoked, &daemon);
    provoke_the_rest(&mut provoked, &daemon);
    provoke_a_tier(&mut provoked);
    provoke_checkpoints(
        &mut provoked,
        &Daemon::with(|config| {
            config.capacity = Some(ByteSize::mib(4));
            config.put_stall_timeout = Duration::from_millis(1_500);
        }),
    );
    let mut wire = daemon.wire();
    assert_eq!(wire.call("GET", "/healthz").status, 200);
    // Its leases would hold up the end.
    let _stopped = daemon.begin_shutdown();
    daemon.eventually("draining", || wire_status(&daemon, "/readyz") == 503);
    provoked.call(&mut wire, "GET", "/readyz", "/readyz");
    let reply = wire.put("/v1/kv/b/new", b"1");
    provoked.note("PUT", OBJECT, &reply);
    for path in FOR_LACK_OF_MEMORY {
        for method in ["GET", "HEAD"] {
            let operation = (method.to_owned(), path.to_owned());
            assert!(provoked.0.entry(operation).or_default().insert(503), "{method} {path}");
        }
    }
    assert_eq!(provoked.0, documented());
}

/// Paths that answer 503 when the memory for replies is taken, see `memory.rs`.
const FOR_LACK_OF_MEMORY: [&str; 8] =
    ["/v1/kv/{bucket}", BUCKETS, "/v1/stats", "/v1/history", "/", "/metrics", SHARD, EVENTS];

fn wire_status(daemon: &Daemon, path: &str) -> u16 {
    daemon.wire().call("GET", path).status
}
