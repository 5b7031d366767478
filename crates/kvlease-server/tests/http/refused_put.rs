//! Uploads that are not taken: each leaves the connection usable, nothing visible, and no extent
//! behind.

use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use crate::{
    daemon::{CAPACITY, Daemon},
    wire::{Wire, refused},
};

/// The connection answers the next request, and this writer has left nothing behind.
fn goes_on(daemon: &Daemon, wire: &mut Wire) {
    assert_eq!(wire.call("GET", "/healthz").text(), "ok\n");
    let stats = daemon.stats();
    assert_eq!((stats.writes, stats.writing), (0, 0), "{stats:?}");
}

#[test]
fn an_object_is_immutable() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    assert_eq!(wire.put("/v1/kv/b/k", b"first").status, 200);
    assert_eq!(wire.put("/v1/kv/b/k", b"second").refusal(), refused(409, "exists"));
    assert_eq!(wire.put("/v1/kv/b/k", b"first").refusal(), refused(409, "exists"));
    assert_eq!(wire.call("GET", "/v1/kv/b/k").body, b"first");
}

#[test]
fn a_refused_body_is_taken_in_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let body = bytes(4 << 20, 1);
    assert_eq!(wire.put("/v1/kv/b/k", &body).status, 200);
    for _ in 0..3 {
        assert_eq!(wire.put("/v1/kv/b/k", &body).refusal(), refused(409, "exists"));
        goes_on(&daemon, &mut wire);
    }
    wire.begin_chunked_put("/v1/kv/b/k");
    for piece in body.chunks(64 << 10) {
        wire.send_chunk(piece);
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.reply().refusal(), refused(409, "exists"));
    goes_on(&daemon, &mut wire);
}

#[test]
fn a_key_that_is_being_written_conflicts() {
    let daemon = Daemon::start();
    let (mut first, mut second) = (daemon.wire(), daemon.wire());
    first.begin_put("/v1/kv/b/k", 10);
    first.send("01234");
    daemon.until("the write", |stats| stats.writes == 1);
    assert_eq!(second.put("/v1/kv/b/k", b"other").refusal(), refused(409, "exists"));
    first.send("56789");
    assert_eq!(first.reply().status, 200);
    assert_eq!(second.call("GET", "/v1/kv/b/k").body, b"0123456789");
}

#[test]
fn a_body_that_nobody_wants_is_taken_in_wherever_it_was_sent() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let body = bytes(4 << 20, 1);
    for (target, refusal) in [
        ("/v1/kv/b/%zz", refused(400, "invalid")),
        ("/v1/kv/b/", refused(400, "invalid")),
        ("/v1/kv/b/k/other", refused(404, "no_route")),
        ("/v1/kv/b/k/leases", refused(405, "method_not_allowed")),
        ("/healthz", refused(405, "method_not_allowed")),
    ] {
        assert_eq!(wire.put(target, &body).refusal(), refusal, "{target}");
        goes_on(&daemon, &mut wire);
    }
}

#[test]
fn a_put_without_a_length_is_refused() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    assert_eq!(wire.call("PUT", "/v1/kv/b/k").refusal(), refused(411, "length_required"));
    goes_on(&daemon, &mut wire);
}

#[test]
fn an_object_above_the_limit_is_refused() {
    let daemon = Daemon::with(|config| config.object_len_max = ByteSize::kib(64));
    let mut wire = daemon.wire();
    let body = bytes(64 << 10, 1);
    assert_eq!(wire.put("/v1/kv/b/exact", &body).status, 200);
    let body = bytes(1 << 20, 1);
    assert_eq!(wire.put("/v1/kv/b/above", &body).refusal(), refused(413, "too_large"));
    goes_on(&daemon, &mut wire);
    assert_eq!(daemon.stats().objects, 1);
}

#[test]
fn a_chunked_object_is_refused_where_it_crosses_the_limit() {
    let daemon = Daemon::with(|config| config.object_len_max = ByteSize::kib(64));
    let mut wire = daemon.wire();
    wire.begin_chunked_put("/v1/kv/b/k");
    for piece in bytes(1 << 20, 1).chunks(10_000) {
        wire.send_chunk(piece);
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.reply().refusal(), refused(413, "too_large"));
    goes_on(&daemon, &mut wire);
    assert_eq!(daemon.stats().free, CAPACITY.bytes());
}

#[test]
fn an_object_above_the_arena_is_refused() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let body = vec![0; CAPACITY.bytes() as usize + 1];
    assert_eq!(wire.put("/v1/kv/b/k", &body).refusal(), refused(413, "too_large"));
    goes_on(&daemon, &mut wire);
}

#[test]
fn a_put_is_refused_while_only_leased_objects_are_left() {
    let daemon = Daemon::start();
    let quarter = bytes(4 << 20, 1);
    let keys = ["a", "b", "c", "d"];
    keys.iter().for_each(|key| daemon.put(key, &quarter));
    let leases: Vec<_> = keys.iter().map(|key| daemon.lease(key)).collect();
    let mut wire = daemon.wire();
    let reply = wire.put("/v1/kv/b/e", &quarter);
    assert_eq!(reply.refusal(), refused(507, "no_space"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    goes_on(&daemon, &mut wire);
    assert_eq!(daemon.stats().objects, 4, "a refusal evicts nothing");
    daemon.release(&leases[2]);
    assert_eq!(wire.put("/v1/kv/b/e", &quarter).status, 200);
    let left: Vec<_> = keys.iter().map(|key| daemon.status_of(key)).collect();
    assert_eq!(left, [200, 200, 404, 200], "what was released is what left");
}

#[test]
fn a_chunked_put_that_runs_out_of_room_leaves_nothing() {
    let daemon = Daemon::start();
    daemon.put("leased", &bytes(12 << 20, 1));
    daemon.lease("leased");
    let mut wire = daemon.wire();
    wire.begin_chunked_put("/v1/kv/b/k");
    for piece in bytes(8 << 20, 2).chunks(64 << 10) {
        wire.send_chunk(piece);
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.reply().refusal(), refused(507, "no_space"));
    goes_on(&daemon, &mut wire);
    assert_eq!(daemon.stats().free, 4 << 20);
}

#[test]
fn whoever_asked_first_and_is_refused_half_way_still_hears_why() {
    let daemon = Daemon::with(|config| config.object_len_max = ByteSize::kib(64));
    let mut wire = daemon.wire();
    wire.send(
        "PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\n\r\n",
    );
    assert_eq!(wire.reply_to_head().status, 100);
    for piece in bytes(4 << 20, 1).chunks(64 << 10) {
        wire.send_chunk(piece);
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.reply().refusal(), refused(413, "too_large"));
    goes_on(&daemon, &mut wire);
}
