//! Leases: what they say, how they end.

use std::{collections::HashSet, fs};

use kvlease_api::{LeaseReply, RenewReply, StoredReply};
use kvlease_testing::bytes;

use crate::{daemon::Daemon, wire::refused};

#[test]
fn a_lease_tells_exactly_where_the_bytes_are() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for (number, len) in [1, 4095, 4096, 4097, (1 << 20) + 13].into_iter().enumerate() {
        let sent = bytes(len, number as u64);
        let target = format!("/v1/kv/b/{len}");
        let stored: StoredReply = wire.put(&target, &sent).json();
        let lease: LeaseReply = wire.call("POST", &format!("{target}/leases")).json();
        let total: u64 = lease.offsets.iter().map(|extent| extent.len).sum();
        assert_eq!(total, len as u64, "exact, never rounded");
        assert!(lease.offsets.iter().all(|extent| extent.offset % 4096 == 0 && extent.len > 0));
        assert!(daemon.leased_bytes(&lease) == sent, "len {len}");
        assert_eq!(lease.checksum, Some(stored.checksum));
        assert_eq!(lease.epoch, Some(daemon.stats().epoch));
        assert!(lease.generation.is_some());
    }
}

#[test]
fn a_lease_reply_has_the_fields_of_the_protocol_as_the_stock_clients_read_them() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let reply = daemon.wire().call("POST", "/v1/kv/b/k/leases?timeout_ms=1000&ttl_s=30.0");
    assert_eq!(reply.status, 200);
    let lease: serde_json::Value = reply.json();
    assert!(lease["id"].is_string());
    assert_eq!(lease["offsets"][0]["len"], 3);
    assert!(lease["offsets"][0]["offset"].is_u64());
    assert_eq!(lease["ttl_s"], 30.0);
}

#[test]
fn an_empty_object_is_leased_without_extents() {
    let daemon = Daemon::start();
    daemon.put("k", b"");
    let lease = daemon.lease("k");
    assert_eq!(lease.offsets, []);
    daemon.release(&lease);
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn lease_ids_are_different_and_safe_in_a_url() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let ids: HashSet<_> = (0..100).map(|_| daemon.lease("k").id).collect();
    assert_eq!(ids.len(), 100);
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(ids.iter().all(|id| !id.is_empty() && id.chars().all(safe)), "{ids:?}");
    assert_eq!(daemon.stats().leases, 100);
}

#[test]
fn the_time_to_live_is_granted_as_asked_up_to_the_cap() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let mut wire = daemon.wire();
    for (query, granted) in [
        ("", 30.0),
        ("?ttl_s=12", 12.0),
        ("?ttl_s=0.25", 0.25),
        ("?ttl_s=1e-9", 0.01),
        ("?ttl_s=2.5e1", 25.0),
        ("?ttl_s=300", 300.0),
        ("?ttl_s=300.5", 300.0),
        ("?ttl_s=1e300", 300.0),
        ("?unknown=1&ttl_s=5", 5.0),
    ] {
        let lease: LeaseReply = wire.call("POST", &format!("/v1/kv/b/k/leases{query}")).json();
        assert_eq!(lease.ttl_s, Some(granted), "{query}");
    }
}

#[test]
fn bad_parameters_are_refused_and_named() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let mut wire = daemon.wire();
    for query in [
        "ttl_s=0",
        "ttl_s=-1",
        "ttl_s=nan",
        "ttl_s=inf",
        "ttl_s=",
        "ttl_s=soon",
        "ttl_s=%zz",
        "timeout_ms=-1",
        "timeout_ms=1.5",
        "timeout_ms=",
        "timeout_ms=99999999999999999999999",
    ] {
        let reply = wire.call("POST", &format!("/v1/kv/b/k/leases?{query}"));
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{query}");
        let name = query.split('=').next().unwrap();
        assert!(reply.text().contains(name), "{query}: {}", reply.text());
    }
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn what_nobody_has_or_writes_is_a_miss_at_once() {
    let daemon = Daemon::start();
    let reply = daemon.wire().call("POST", "/v1/kv/b/k/leases?timeout_ms=3600000");
    assert_eq!(reply.refusal(), refused(404, "not_found"));
}

#[test]
fn a_release_is_always_a_success() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease = daemon.lease("k");
    let mut wire = daemon.wire();
    let mut release = |id: &str| wire.call("POST", &format!("/v1/leases/{id}/release"));
    for _ in 0..3 {
        assert_eq!(release(&lease.id).status, 200);
    }
    assert_eq!(daemon.stats().leases, 0);
    let of_another_epoch = "0123456789abcdef-0000000000000001";
    for id in [of_another_epoch, "7", "never_given-1", "ABC"] {
        assert_eq!(release(id).status, 200, "{id}");
    }
    for id in ["a%2Fb", "a%20b", "%C3%BC", "a.b", "a%25", ""] {
        assert_eq!(release(id).refusal(), refused(400, "invalid"), "{id}");
    }
}

#[test]
fn a_release_of_another_epoch_ends_no_lease() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease = daemon.lease("k");
    let (_, behind) = lease.id.split_once('-').unwrap();
    let foreign = format!("/v1/leases/0123456789abcdef-{behind}/release");
    assert_eq!(daemon.wire().call("POST", &foreign).status, 200);
    assert_eq!(daemon.stats().leases, 1);
}

#[test]
fn a_lease_id_cannot_be_made_from_another() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let (first, second) = (daemon.lease("k"), daemon.lease("k"));
    let split = |id: &str| id.rsplit_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let ((first_name, first_tag), (second_name, second_tag)) =
        (split(&first.id), split(&second.id));
    assert_ne!(first_tag, second_tag);
    let mut wire = daemon.wire();
    for guess in [
        format!("{first_name}-{second_tag}"),
        format!("{second_name}-{first_tag}"),
        first_name.clone(),
        format!("{first_name}-0000000000000000"),
    ] {
        assert_eq!(wire.call("POST", &format!("/v1/leases/{guess}/release")).status, 200);
        assert_eq!(wire.call("POST", &format!("/v1/leases/{guess}/renew")).status, 404);
        assert_eq!(daemon.stats().leases, 2, "{guess}");
    }
    daemon.release(&first);
    daemon.release(&second);
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn a_release_may_carry_a_body() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease = daemon.lease("k");
    let mut wire = daemon.wire();
    let target = format!("/v1/leases/{}/release", lease.id);
    wire.send(format!("POST {target} HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{{}}"));
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.call("GET", "/healthz").status, 200);
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn a_live_lease_can_be_renewed_and_an_ended_one_cannot() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease = daemon.lease("k");
    let mut wire = daemon.wire();
    let mut renew =
        |query: &str| wire.call("POST", &format!("/v1/leases/{}/renew{query}", lease.id));
    for (query, granted) in
        [("?ttl_s=60", 60.0), ("?ttl_s=0.5e1", 5.0), ("?ttl_s=900", 300.0), ("", 30.0)]
    {
        assert_eq!(renew(query).json::<RenewReply>().ttl_s, granted, "{query}");
    }
    assert_eq!(renew("?ttl_s=0").refusal(), refused(400, "invalid"));
    daemon.release(&lease);
    assert_eq!(renew("").refusal(), refused(404, "not_found"));
    let mut wire = daemon.wire();
    assert_eq!(wire.call("POST", "/v1/leases/7/renew").refusal(), refused(404, "not_found"));
    assert_eq!(wire.call("POST", "/v1/leases/a.b/renew").refusal(), refused(400, "invalid"));
}

#[test]
fn an_expired_lease_is_gone_and_counted() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease: LeaseReply = daemon.wire().call("POST", "/v1/kv/b/k/leases?ttl_s=0.02").json();
    daemon.until("the expiry", |stats| stats.leases_expired == 1 && stats.leases == 0);
    let mut wire = daemon.wire();
    let renewed = wire.call("POST", &format!("/v1/leases/{}/renew", lease.id));
    assert_eq!(renewed.refusal(), refused(404, "not_found"));
    daemon.release(&lease);
    assert_eq!(daemon.status_of("k"), 200, "the object stays");
}

#[test]
fn extents_of_an_expired_lease_are_not_reused_within_the_grace() {
    let daemon = Daemon::start();
    let whole = bytes(12 << 20, 1);
    daemon.put("k", &whole);
    let lease: LeaseReply = daemon.wire().call("POST", "/v1/kv/b/k/leases?ttl_s=0.02").json();
    daemon.until("the expiry", |stats| stats.leases_expired == 1);
    let refusal = daemon.wire().put("/v1/kv/b/other", &whole).refusal();
    assert_eq!(refusal, refused(507, "no_space"), "the grace is 10 s");
    assert!(daemon.leased_bytes(&lease) == whole);
}

#[test]
fn no_more_leases_live_than_the_limit() {
    let daemon = Daemon::with(|config| config.leases_max = Some(2));
    daemon.put("k", b"abc");
    let first = daemon.lease("k");
    daemon.lease("k");
    let mut wire = daemon.wire();
    let reply = wire.call("POST", "/v1/kv/b/k/leases");
    assert_eq!(reply.refusal(), refused(503, "unavailable"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    daemon.release(&first);
    assert_eq!(wire.call("POST", "/v1/kv/b/k/leases").status, 200);
}

#[test]
fn no_lease_is_granted_while_another_file_has_the_segments_name() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let lease = || daemon.wire().call("POST", "/v1/kv/b/k/leases").status;
    assert_eq!(lease(), 200);
    let other = daemon.segment().with_file_name("other");
    fs::write(&other, b"foreign").unwrap();
    fs::rename(&other, daemon.segment()).unwrap();
    daemon.eventually("a refusal", || lease() == 404);
    // The daemon's own copy is not concerned.
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/k").body, b"abc");
    fs::remove_file(daemon.segment()).unwrap();
    daemon.eventually("the name is back", || lease() == 200);
}
