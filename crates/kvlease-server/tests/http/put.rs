//! Storing objects.

use std::time::Duration;

use kvlease_api::{CHECKSUM_HEADER, StoredReply};
use kvlease_testing::bytes;

use crate::{daemon::Daemon, wire::refused};

#[test]
fn a_put_with_a_length_stores_exactly_its_bytes() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    for (number, len) in [0, 1, 4095, 4096, 4097, (1 << 20) + 13].into_iter().enumerate() {
        let sent = bytes(len, number as u64);
        let target = format!("/v1/kv/b/{len}");
        let stored: StoredReply = wire.put(&target, &sent).json();
        assert_eq!(stored.len, len as u64);
        let got = wire.call("GET", &target);
        assert_eq!((got.status, got.body.len()), (200, len));
        assert!(got.body == sent, "len {len}");
        assert_eq!(got.header(CHECKSUM_HEADER), Some(stored.checksum.as_str()));
        assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    }
}

#[test]
fn the_checksum_is_the_published_one() {
    let daemon = Daemon::start();
    let stored: StoredReply = daemon.wire().put("/v1/kv/b/k", b"123456789").json();
    assert_eq!(stored.checksum, "72dcb18b67a17dff", "XXH3-64 of the usual check text");
}

#[test]
fn a_chunked_put_stores_exactly_its_bytes() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let sent = bytes((3 << 20) + 77, 1);
    wire.begin_chunked_put("/v1/kv/b/k");
    for piece in sent.chunks(64 << 10) {
        wire.send_chunk(piece);
    }
    wire.send("0\r\n\r\n");
    let stored: StoredReply = wire.reply().json();
    assert_eq!(stored.len, sent.len() as u64);
    assert!(wire.call("GET", "/v1/kv/b/k").body == sent);
}

#[test]
fn chunk_extensions_and_trailers_are_no_part_of_the_object() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    wire.begin_chunked_put("/v1/kv/b/k");
    wire.send("3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, b"abcde");
    wire.begin_chunked_put("/v1/kv/b/empty");
    wire.send("0\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/empty").body, b"");
}

#[test]
fn an_object_is_invisible_before_its_last_byte() {
    let daemon = Daemon::start();
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 100);
    writer.send([1; 99]);
    daemon.until("the write", |stats| stats.writes == 1 && stats.objects == 0);
    let mut wire = daemon.wire();
    assert_eq!(wire.call("GET", "/v1/kv/b/k").refusal(), refused(404, "not_found"));
    assert_eq!(wire.call("HEAD", "/v1/kv/b/k").status, 404);
    assert_eq!(wire.call("GET", "/v1/kv/b/k/locations").refusal(), refused(404, "not_found"));
    assert_eq!(wire.call("GET", "/v1/kv/b").text(), r#"{"objects":[]}"#);
    writer.send([1]);
    assert_eq!(writer.reply().status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, [1; 100]);
}

#[test]
fn buckets_are_apart() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    assert_eq!(wire.put("/v1/kv/one/k", b"1").status, 200);
    assert_eq!(wire.put("/v1/kv/two/k", b"22").status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/one/k").body, b"1");
    assert_eq!(wire.call("GET", "/v1/kv/two/k").body, b"22");
    assert_eq!(wire.call("GET", "/v1/kv/three/k").status, 404);
    let mut buckets = daemon.stats().buckets;
    buckets.sort_by(|a, b| a.bucket.cmp(&b.bucket));
    let totals: Vec<_> = buckets.iter().map(|b| (b.bucket.as_str(), b.objects, b.stored)).collect();
    assert_eq!(totals, [("one", 1, 1), ("two", 1, 2)]);
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let head =
        "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    wire.send(head);
    assert_eq!(wire.reply_to_head().status, 100);
    wire.send("abc");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, b"abc");
}

#[test]
fn a_client_that_asks_first_is_refused_without_its_body() {
    let daemon = Daemon::start();
    daemon.put("k", b"abc");
    let mut wire = daemon.wire();
    let head =
        "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    wire.send(head);
    assert_eq!(wire.reply().refusal(), refused(409, "exists"));
    assert_eq!(daemon.status_of("k"), 200);
}

#[test]
fn a_slow_upload_that_never_stalls_is_stored() {
    let stall = Duration::from_secs(1);
    let daemon = Daemon::with(|config| config.put_stall_timeout = stall);
    let sent = bytes(2 << 20, 9);
    // Slower than the kernel's mark for a wake-up within the limit, and never silent for long.
    let upload = || {
        let mut wire = daemon.wire();
        wire.begin_put("/v1/kv/b/slow", sent.len());
        for piece in sent.chunks(128 << 10) {
            wire.try_send(piece).ok()?;
            std::thread::sleep(stall / 5);
        }
        let reply = wire.try_reply().ok().filter(|reply| reply.status != 408)?;
        Some((wire, reply))
    };
    // A machine that is held up makes a stall of it, and not of each of these.
    let (mut wire, reply) = (0..8).find_map(|_| upload()).expect("one of them has no stall");
    assert_eq!(reply.status, 200);
    assert!(wire.call("GET", "/v1/kv/b/slow").body == sent);
}

#[test]
fn an_upload_that_trickles_is_given_up() {
    let stall = Duration::from_secs(1);
    let daemon = Daemon::with(|config| config.put_stall_timeout = stall);
    let mut wire = daemon.wire();
    wire.begin_put("/v1/kv/b/trickle", 10 << 20);
    // Never silent for long, and slower than the least rate.
    for _ in 0..5 {
        wire.send([7; 16]);
        if !wire.is_silent_for(stall / 3) {
            break;
        }
    }
    assert_eq!(wire.reply().refusal(), refused(408, "body_incomplete"));
    daemon.until("the end of the write", |stats| stats.writes == 0);
}
