//! Keys and buckets on the raw path: split before they are decoded, and decoded exactly once.

use kvlease_api::ListReply;
use kvlease_types::{BUCKET_LEN_MAX, KEY_LEN_MAX};

use crate::{daemon::Daemon, wire::refused};

#[test]
fn every_key_is_decoded_exactly_once() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let names = [
        ("org%2Fmodel@8@0@-7f@half", "org/model@8@0@-7f@half"),
        ("org%2Fmodel%408", "org/model@8"),
        ("a%252Fb", "a%2Fb"),
        ("a%2Fb", "a/b"),
        ("a%2fb%2F", "a/b/"),
        ("%C3%BC%E2%82%AC%F0%9F%A6%80", "ü€🦀"),
        ("%00", "\0"),
        ("a%00b%0D%0A", "a\0b\r\n"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("100%25", "100%"),
        ("%3Fquery%23fragment", "?query#fragment"),
        ("a;b=c,d:e!$&'()*", "a;b=c,d:e!$&'()*"),
        (".", "."),
        ("..", ".."),
        ("%2E%2E%2F", "../"),
        ("leases", "leases"),
        ("locations", "locations"),
    ];
    for (raw, key) in names {
        assert_eq!(wire.put(&format!("/v1/kv/b/{raw}"), key.as_bytes()).status, 200, "{raw}");
    }
    for (raw, key) in names {
        assert_eq!(wire.call("GET", &format!("/v1/kv/b/{raw}")).body, key.as_bytes(), "{raw}");
        let lease = wire.call("POST", &format!("/v1/kv/b/{raw}/leases"));
        assert_eq!(lease.status, 200, "{raw}");
    }
    let page: ListReply = wire.call("GET", "/v1/kv/b").json();
    let mut listed: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    let mut stored: Vec<_> = names.iter().map(|(_, key)| *key).collect();
    listed.sort_unstable();
    stored.sort_unstable();
    assert_eq!(listed, stored);
}

#[test]
fn two_spellings_of_one_key_are_one_object() {
    let daemon = Daemon::start();
    daemon.put("a%40b", b"1");
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/a@b").body, b"1");
    assert_eq!(daemon.wire().put("/v1/kv/%62/%61@b", b"2").refusal(), refused(409, "exists"));
}

#[test]
fn keys_and_buckets_keep_within_their_limits() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let longest = "k".repeat(KEY_LEN_MAX);
    let too_long = "k".repeat(KEY_LEN_MAX + 1);
    let escaped = "%C3%BC".repeat(KEY_LEN_MAX / 2);
    assert_eq!(wire.put(&format!("/v1/kv/b/{longest}"), b"1").status, 200);
    assert_eq!(wire.put(&format!("/v1/kv/b/{escaped}"), b"2").status, 200);
    assert_eq!(wire.call("GET", &format!("/v1/kv/b/{escaped}")).body, b"2");
    let reply = wire.put(&format!("/v1/kv/b/{too_long}"), b"1");
    assert_eq!(reply.refusal(), refused(400, "invalid"));
    let bucket = "b".repeat(BUCKET_LEN_MAX);
    assert_eq!(wire.put(&format!("/v1/kv/{bucket}/k"), b"1").status, 200);
    assert_eq!(wire.put(&format!("/v1/kv/{bucket}b/k"), b"1").refusal(), refused(400, "invalid"));
    assert_eq!(wire.put("/v1/kv/b/", b"1").refusal(), refused(400, "invalid"));
    assert_eq!(wire.put("/v1/kv//k", b"1").refusal(), refused(400, "invalid"));
    assert_eq!(daemon.stats().objects, 3);
}

#[test]
fn broken_escapes_are_refused_on_every_route_and_the_body_is_taken_in() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for name in ["%", "%2", "a%zz", "%+1", "%FF", "%C3", "%C3%28", "%ED%A0%80"] {
        for (method, target) in [
            ("GET", format!("/v1/kv/b/{name}")),
            ("GET", format!("/v1/kv/{name}/k")),
            ("GET", format!("/v1/kv/{name}")),
            ("DELETE", format!("/v1/kv/b/{name}")),
            ("POST", format!("/v1/kv/b/{name}/leases")),
            ("POST", format!("/v1/leases/{name}/release")),
        ] {
            let reply = wire.call(method, &target);
            assert_eq!(reply.refusal(), refused(400, "invalid"), "{method} {target}");
        }
        let reply = wire.put(&format!("/v1/kv/b/{name}"), &[7; 1 << 20]);
        assert_eq!(reply.refusal(), refused(400, "invalid"), "PUT {name}");
    }
    assert_eq!(daemon.stats().objects, 0);
}
