//! Clients that go away: whatever they had begun is undone.

use std::time::Duration;

use kvlease_testing::bytes;

use crate::{daemon::Daemon, wire::Wire};

fn is_clean(daemon: &Daemon, what: &str) {
    daemon.until(what, |stats| {
        (stats.writes, stats.leases) == (0, 0) && stats.free == stats.capacity
    });
}

fn waiter(daemon: &Daemon) -> Wire {
    let mut wire = daemon.wire();
    wire.send("POST /v1/kv/b/k/leases?timeout_ms=60000 HTTP/1.1\r\nHost: d\r\n\r\n");
    wire
}

#[test]
fn a_writer_that_goes_away_leaves_nothing_at_any_stage() {
    let daemon = Daemon::start();
    let body = bytes(1 << 20, 1);
    let head =
        format!("PUT /v1/kv/b/k HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n", body.len());
    for sent in [
        0,
        10,
        head.len() - 1,
        head.len(),
        head.len() + 1,
        head.len() + 65_536,
        head.len() + body.len() - 1,
    ] {
        let mut wire = daemon.wire();
        let whole = [head.as_bytes(), &body].concat();
        wire.send(&whole[..sent]);
        if sent >= head.len() {
            daemon.until("the write", |stats| stats.writes == 1);
        }
        drop(wire);
        is_clean(&daemon, &format!("nothing left after {sent} bytes"));
        assert_eq!(daemon.status_of("k"), 404);
    }
}

#[test]
fn a_chunked_writer_that_goes_away_leaves_nothing() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    wire.begin_chunked_put("/v1/kv/b/k");
    for piece in bytes(5 << 20, 1).chunks(100_000) {
        wire.send_chunk(piece);
    }
    daemon.until("the write", |stats| stats.writing >= 5 << 20);
    drop(wire);
    is_clean(&daemon, "nothing left");
}

#[test]
fn clients_that_stop_waiting_for_a_lease_get_none() {
    let daemon = Daemon::start();
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 2);
    writer.send("a");
    daemon.until("the write", |stats| stats.writes == 1);
    let mut waiters: Vec<_> = (0..20).map(|_| waiter(&daemon)).collect();
    assert!(waiters[19].is_silent_for(Duration::from_millis(50)));
    drop(waiters);
    daemon.eventually("their end", || daemon.metric("kvlease_connections") <= 2.0);
    writer.send("b");
    assert_eq!(writer.reply().status, 200);
    assert_eq!(daemon.stats().leases, 0);
    assert_eq!(daemon.metric("kvlease_leases_granted_total"), 0.0);
}

#[test]
fn a_lease_for_a_client_that_is_gone_does_not_outlive_the_answer() {
    let daemon = Daemon::start();
    for round in 0..20 {
        let mut writer = daemon.wire();
        writer.begin_put("/v1/kv/b/k", 2);
        writer.send("a");
        daemon.until("the write", |stats| stats.writes == 1);
        let waiters: Vec<_> = (0..5).map(|_| waiter(&daemon)).collect();
        daemon.eventually("the waiters", || daemon.metric("kvlease_connections") >= 7.0);
        // The seal and the end of the waiters race.
        writer.send("b");
        drop(waiters);
        assert_eq!(writer.reply().status, 200);
        drop(writer);
        daemon.eventually("the end", || daemon.metric("kvlease_connections") <= 1.0);
        // What was sent before the client went is its own until it expires; no more than that.
        let delivered =
            daemon.metric("kvlease_requests_total{operation=\"acquire\",outcome=\"ok\"}");
        assert!(daemon.stats().leases as f64 <= delivered, "round {round}");
        assert_eq!(daemon.wire().call("DELETE", "/v1/kv/b/k").status, 200);
    }
}

#[test]
fn a_reader_that_goes_away_holds_no_lease() {
    let daemon = Daemon::start();
    daemon.put("k", &bytes(12 << 20, 1));
    let mut readers: Vec<_> = (0..10).map(|_| daemon.slow_wire()).collect();
    for wire in &mut readers {
        wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: d\r\n\r\n");
        assert_eq!(wire.reply_to_head().status, 200);
    }
    assert_eq!(daemon.stats().leases, 10);
    drop(readers);
    daemon.until("no lease", |stats| stats.leases == 0);
    assert_eq!(daemon.status_of("k"), 200);
}
