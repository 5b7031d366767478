//! Many connections, idle ones, and readers that do not read.

use std::{thread, time::Duration};

use kvlease_harness::await_that;
use kvlease_testing::bytes;

use crate::{daemon::Daemon, wire::refused};

#[test]
fn two_thousand_idle_connections_do_not_disturb_one_that_works() {
    let daemon = Daemon::start();
    let mut idle: Vec<_> = (0..2_000).map(|_| daemon.wire()).collect();
    daemon.eventually("all connections", || daemon.metric("kvlease_connections") >= 2_000.0);
    let mut wire = daemon.wire();
    for n in 0..100 {
        let target = format!("/v1/kv/b/{n}");
        let sent = bytes(10_000, n);
        assert_eq!(wire.put(&target, &sent).status, 200);
        assert!(wire.call("GET", &target).body == sent);
    }
    for wire in idle.iter_mut().step_by(97) {
        assert_eq!(wire.call("GET", "/healthz").status, 200);
    }
    drop(idle);
    daemon.eventually("their end", || daemon.metric("kvlease_connections") <= 2.0);
}

#[test]
fn operators_are_served_when_every_place_is_taken() {
    let daemon = Daemon::with(|config| config.connections_max = 2);
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/pending", 100);
    daemon.until("the write", |stats| stats.writes == 1);
    let mut waiter = daemon.wire();
    waiter.send("POST /v1/kv/b/pending/leases?timeout_ms=60000 HTTP/1.1\r\nHost: d\r\n\r\n");
    daemon.eventually("no place", || daemon.metric("kvlease_connections_full_total") > 0.0);
    // Half heads on the reserved places give way.
    let _halves: Vec<_> = (0..40)
        .map(|_| {
            let mut half = daemon.wire();
            half.send("GET /healthz HTT");
            half
        })
        .collect();
    for path in
        ["/", "/healthz", "/readyz", "/metrics", "/v1/stats", "/v1/history", "/openapi.json"]
    {
        assert_eq!(daemon.wire().call("GET", path).status, 200, "{path}");
    }
    let refusal = daemon.wire().call("GET", "/v1/kv/b/k").refusal();
    assert_eq!(refusal, refused(503, "unavailable"), "an object needs a place");
    let mut late = daemon.wire();
    late.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    drop(writer);
    assert_eq!(late.reply().status, 404, "a place that becomes free is used");
    assert_eq!(waiter.reply().status, 404);
}

#[test]
fn the_connection_that_is_idle_for_longest_gives_its_place_to_the_next() {
    let daemon = Daemon::with(|config| config.connections_max = 2);
    let (mut first, mut second) = (daemon.wire(), daemon.wire());
    first.send("GET /v1/kv/b/k HTT");
    assert_eq!(second.call("GET", "/v1/kv/b/k").status, 404);
    daemon.eventually("a place", || daemon.wire().call("GET", "/v1/kv/b/k").status == 404);
    assert!(first.rest().is_empty(), "half a head is older than an answered request");
    assert_eq!(second.call("GET", "/v1/kv/b/k").status, 404);
}

#[test]
fn half_heads_give_way_before_a_connection_between_two_requests() {
    let daemon = Daemon::with(|config| config.connections_max = 3);
    let mut worker = daemon.wire();
    assert_eq!(worker.call("GET", "/v1/kv/b/k").status, 404);
    // Long enough for the place of the connection to be given away.
    thread::sleep(Duration::from_millis(1_500));
    let mut half = daemon.wire();
    half.send("GET /v1/kv/b/k HTT");
    let mut operator = daemon.wire();
    let all = || operator.call("GET", "/metrics").text().contains("\nkvlease_connections 3\n");
    await_that("all connections", all);
    // So is this for that of the half head.
    thread::sleep(Duration::from_millis(200));
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/k").status, 404);
    assert!(half.rest().is_empty(), "the half head gave way");
    assert_eq!(worker.call("GET", "/v1/kv/b/k").status, 404, "the older connection did not");
}

#[test]
fn readers_that_stop_reading_hold_nobody_up() {
    let daemon = Daemon::start();
    let sent = bytes(12 << 20, 1);
    daemon.put("k", &sent);
    let mut stopped: Vec<_> = (0..8).map(|_| daemon.slow_wire()).collect();
    for wire in &mut stopped {
        wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    }
    daemon.until("the reads", |stats| stats.leases == 8);
    daemon.put("other", b"abc");
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/other").body, b"abc");
    assert!(daemon.wire().call("GET", "/v1/kv/b/k").body == sent);
    for wire in stopped.iter_mut().take(2) {
        assert!(wire.reply().body == sent, "they may go on later");
    }
    drop(stopped);
    daemon.until("the end of the reads", |stats| stats.leases == 0);
}

#[test]
fn a_reader_that_never_reads_again_does_not_keep_its_connection() {
    let daemon = Daemon::with(|config| {
        config.lease_ttl_default = Duration::from_millis(500);
        config.lease_ttl_max = Duration::from_millis(500);
    });
    daemon.put("k", &bytes(12 << 20, 1));
    let mut stopped = daemon.slow_wire();
    stopped.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    // Its lease may be over before this looks.
    daemon.until("the read", |stats| stats.leases == 1 || stats.leases_expired == 1);
    daemon.eventually("its end", || daemon.metric("kvlease_connections") <= 1.0);
    drop(stopped);
}

#[test]
fn a_reader_slower_than_the_longest_lease_gets_no_byte_that_changed() {
    let daemon = Daemon::with(|config| {
        // Long enough for the head to be sent.
        config.lease_ttl_default = Duration::from_secs(3);
        config.lease_ttl_max = Duration::from_secs(3);
        config.lease_grace = Duration::from_millis(100);
    });
    let sent = bytes(12 << 20, 1);
    daemon.put("k", &sent);
    let mut wire = daemon.slow_wire();
    wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
    assert_eq!(wire.reply_to_head().status, 200);
    daemon.until("the expiry", |stats| stats.leases_expired == 1);
    daemon.eventually("room", || {
        daemon.wire().put("/v1/kv/b/other", &bytes(12 << 20, 2)).status == 200
    });
    let got = wire.rest();
    assert!(got.len() < sent.len(), "cut short");
    assert!(got[..] == sent[..got.len()], "what came is right");
}
