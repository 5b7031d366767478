//! Objects without leases: look up, read, list, remove; and the routes as such.

use std::collections::BTreeSet;

use kvlease_api::{CHECKSUM_HEADER, ListReply, LocationsReply, PAGE_LEN_MAX, StatsReply, encode};
use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use crate::{daemon::Daemon, wire::refused};

#[test]
fn head_tells_the_length_and_sends_no_body() {
    let daemon = Daemon::start();
    daemon.put("k", &bytes(5000, 1));
    let mut wire = daemon.wire();
    let head = wire.call("HEAD", "/v1/kv/b/k");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5000")));
    let got = wire.call("GET", "/v1/kv/b/k");
    assert_eq!(head.header(CHECKSUM_HEADER), got.header(CHECKSUM_HEADER));
    assert_eq!(wire.call("HEAD", "/v1/kv/b/absent").status, 404);
    assert_eq!(wire.call("GET", "/healthz").text(), "ok\n", "no body came with the refusal");
    daemon.put("empty", b"");
    assert_eq!(wire.call("HEAD", "/v1/kv/b/empty").header("content-length"), Some("0"));
}

#[test]
fn a_large_object_is_streamed_whole() {
    let daemon = Daemon::start();
    let sent = bytes((9 << 20) + 1, 1);
    daemon.put("k", &sent);
    assert!(daemon.wire().call("GET", "/v1/kv/b/k").body == sent);
    daemon.until("the lease of the read", |stats| stats.leases == 0);
    assert_eq!(daemon.metric("kvlease_sent_bytes_total"), sent.len() as f64);
}

#[test]
fn locations_name_the_same_extents_as_a_lease() {
    let daemon = Daemon::start();
    daemon.put("k", &bytes(5000, 1));
    let reply: LocationsReply = daemon.wire().call("GET", "/v1/kv/b/k/locations").json();
    let lease = daemon.lease("k");
    let located: Vec<_> = reply.locations.iter().map(|l| (l.offset, l.length)).collect();
    let leased: Vec<_> = lease.offsets.iter().map(|o| (o.offset, o.len)).collect();
    assert_eq!(located, leased);
    let absent = daemon.wire().call("GET", "/v1/kv/b/absent/locations");
    assert_eq!(absent.refusal(), refused(404, "not_found"));
}

#[test]
fn a_removed_object_is_gone_and_may_be_stored_anew() {
    let daemon = Daemon::start();
    daemon.put("k", b"old");
    let mut wire = daemon.wire();
    assert_eq!(wire.call("DELETE", "/v1/kv/b/k").status, 200);
    assert_eq!(wire.call("DELETE", "/v1/kv/b/k").refusal(), refused(404, "not_found"));
    assert_eq!(wire.call("GET", "/v1/kv/b/k").status, 404);
    assert_eq!(wire.put("/v1/kv/b/k", b"new").status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, b"new");
}

#[test]
fn an_object_that_is_being_written_cannot_be_removed() {
    let daemon = Daemon::start();
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 3);
    writer.send("ab");
    daemon.until("the write", |stats| stats.writes == 1);
    let reply = daemon.wire().call("DELETE", "/v1/kv/b/k");
    assert_eq!(reply.refusal(), refused(409, "exists"));
    writer.send("c");
    assert_eq!(writer.reply().status, 200);
}

#[test]
fn a_leased_object_that_is_removed_keeps_its_bytes_until_the_release() {
    let daemon = Daemon::with(|config| config.capacity = Some(ByteSize::mib(8)));
    let old = bytes(4 << 20, 1);
    daemon.put("k", &old);
    let lease = daemon.lease("k");
    let mut wire = daemon.wire();
    assert_eq!(wire.call("DELETE", "/v1/kv/b/k").status, 200);
    assert_eq!(wire.call("POST", "/v1/kv/b/k/leases").status, 404);
    assert_eq!(daemon.stats().quarantined, 4 << 20);
    for round in 0..4 {
        let new = bytes(4 << 20, 2 + round);
        daemon.put(&format!("other{round}"), &new);
        assert!(daemon.leased_bytes(&lease) == old, "round {round}");
    }
    assert_eq!(wire.put("/v1/kv/b/two", &bytes(5 << 20, 9)).status, 507);
    daemon.release(&lease);
    assert_eq!(daemon.stats().quarantined, 0);
    assert_eq!(wire.put("/v1/kv/b/two", &bytes(5 << 20, 9)).status, 200);
}

/// The keys of a whole listing, page by page.
fn keys(daemon: &Daemon, query: &str) -> Vec<String> {
    let mut wire = daemon.wire();
    let (mut keys, mut cursor) = (Vec::new(), 0);
    loop {
        let target = format!("/v1/kv/b?cursor={cursor}&{query}");
        let page: ListReply = wire.call("GET", &target).json();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return keys,
        }
    }
}

#[test]
fn a_listing_shows_each_object_exactly_once_whatever_the_pages() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let names: BTreeSet<_> = (0..2_500).map(|n| format!("{}/{n:04}", ["x", "y"][n % 2])).collect();
    for name in &names {
        let target = format!("/v1/kv/b/{}", name.replace('/', "%2F"));
        assert_eq!(wire.put(&target, name.as_bytes()).status, 200);
    }
    for query in ["", "limit=7", "limit=1000", "limit=2500", "limit=10000"] {
        let listed = keys(&daemon, query);
        assert_eq!(listed.len(), names.len(), "{query}");
        assert_eq!(BTreeSet::from_iter(listed), names, "{query}");
    }
    let of_x = keys(&daemon, "prefix=x%2F&limit=100");
    assert_eq!(of_x.len(), 1_250);
    assert!(of_x.iter().all(|key| key.starts_with("x/")));
    assert_eq!(keys(&daemon, "prefix=z"), [""; 0]);
    let page: ListReply = wire.call("GET", "/v1/kv/b").json();
    assert_eq!(page.objects.len(), 1_000, "the default of a page");
}

#[test]
fn a_page_of_the_longest_names_is_bounded_in_bytes() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let names: BTreeSet<_> = (0..200).map(|n| "\u{1}".repeat(1_800 + n)).collect();
    for name in &names {
        assert_eq!(wire.put(&format!("/v1/kv/b/{}", encode(name)), b"x").status, 200);
        let bucket = encode(&name[..200]) + &format!("{:03}", name.len() - 1_800);
        assert_eq!(wire.put(&format!("/v1/kv/{bucket}/k"), b"x").status, 200);
    }
    let first = wire.call("GET", "/v1/kv/b?limit=10000");
    assert!(first.body.len() <= PAGE_LEN_MAX, "{}", first.body.len());
    assert!(first.json::<ListReply>().next_cursor.is_some());
    assert_eq!(BTreeSet::from_iter(keys(&daemon, "limit=10000")), names);
    let (mut after, mut buckets) = (Some(String::new()), Vec::new());
    while let Some(name) = after {
        let target = format!("/v1/stats?buckets_limit=150&buckets_after={}", encode(&name));
        let reply = wire.call("GET", &target);
        assert!(reply.body.len() <= PAGE_LEN_MAX, "{}", reply.body.len());
        let page: StatsReply = reply.json();
        buckets.extend(page.buckets.into_iter().map(|bucket| bucket.bucket));
        after = page.next_buckets_after;
    }
    assert_eq!(buckets.len(), 201);
    assert!(buckets.is_sorted_by(|a, b| a < b), "by name, each once");
}

#[test]
fn the_state_shows_a_thousand_buckets_and_where_the_others_are() {
    let daemon = Daemon::with(|config| config.capacity = Some(ByteSize::mib(32)));
    let mut wire = daemon.wire();
    for n in 0..1_001 {
        assert_eq!(wire.put(&format!("/v1/kv/b{n:04}/k"), b"x").status, 200);
    }
    let stats = daemon.stats();
    assert_eq!((stats.objects, stats.buckets.len()), (1_001, 1_000));
    assert_eq!(stats.next_buckets_after.as_deref(), Some("b0999"));
    let rest: StatsReply = wire.call("GET", "/v1/stats?buckets_after=b0999").json();
    assert_eq!((rest.buckets.len(), rest.next_buckets_after), (1, None));
}

#[test]
fn a_listing_tells_length_checksum_and_leases() {
    let daemon = Daemon::start();
    daemon.put("k", b"123456789");
    daemon.lease("k");
    daemon.lease("k");
    let page: ListReply = daemon.wire().call("GET", "/v1/kv/b").json();
    let [object] = &page.objects[..] else { panic!("{page:?}") };
    assert_eq!((object.key.as_str(), object.len, object.leases), ("k", 9, 2));
    assert_eq!(object.checksum, Some(Digest::of(b"123456789").to_string()));
    assert_eq!(object.tiers, ["memory"]);
    let other: ListReply = daemon.wire().call("GET", "/v1/kv/other").json();
    assert_eq!(other.objects, []);
}

#[test]
fn the_bounds_of_a_listing_are_checked() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for query in [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=x",
        "cursor=-1",
        "cursor=x",
        "cursor=0123456789abcdef.0.memory.0",
        "tier=disk",
        "tier=nvme",
        "tier=remote&cursor=0",
        "prefix=%FF",
    ] {
        let reply = wire.call("GET", &format!("/v1/kv/b?{query}"));
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{query}");
    }
    let beyond: ListReply = wire.call("GET", "/v1/kv/b?cursor=4294967295").json();
    assert_eq!(beyond.objects, []);
}

#[test]
fn unknown_paths_name_no_route() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for path in [
        "healthz",
        "/v1",
        "/v1/kv",
        "/v2/kv/b/k",
        "/v1/kv/b/k/other",
        "/v1/kv/b/k/leases/x",
        "/v1/leases/x",
        "/v1/leases/x/y",
        "/healthz/",
        "/Healthz",
        "//healthz",
        "/v1//kv/b/k",
        "/v1/stats/x",
    ] {
        assert_eq!(wire.call("GET", path).refusal(), refused(404, "no_route"), "{path}");
    }
    assert_eq!(wire.call("OPTIONS", "*").refusal(), refused(404, "no_route"));
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for (path, allowed, wrong) in [
        ("/v1/kv/b/k", "GET, HEAD, PUT, DELETE", ["POST", "PATCH", "put"]),
        ("/v1/kv/b/k/leases", "POST", ["GET", "PUT", "DELETE"]),
        ("/v1/kv/b/k/locations", "GET, HEAD", ["POST", "PUT", "DELETE"]),
        ("/v1/leases/x/release", "POST", ["GET", "PUT", "DELETE"]),
        ("/v1/leases/x/renew", "POST", ["GET", "PUT", "DELETE"]),
        ("/v1/kv/b", "GET, HEAD", ["POST", "PUT", "DELETE"]),
        ("/v1/stats", "GET, HEAD", ["POST", "PUT", "DELETE"]),
        ("/metrics", "GET, HEAD", ["POST", "PUT", "DELETE"]),
    ] {
        for method in wrong {
            let reply = wire.call(method, path);
            assert_eq!(reply.refusal(), refused(405, "method_not_allowed"), "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        }
    }
}

#[test]
fn a_head_is_answered_wherever_a_get_is() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    assert_eq!(wire.put("/v1/kv/b/k", b"abc").status, 200);
    for target in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/stats",
        "/openapi.json",
        "/v1/kv/b",
        "/v1/kv/b/k/locations",
    ] {
        let head = wire.call("HEAD", target);
        let get = wire.call("GET", target);
        assert_eq!((head.status, get.status), (200, 200), "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{target}");
        assert!(head.header("content-length").is_some(), "{target}");
    }
    assert_eq!(wire.call("HEAD", "/v1/kv/b/absent/locations").status, 404);
    assert_eq!(wire.call("GET", "/healthz").text(), "ok\n", "no body was left on the way");
}
