//! Leases on objects that are being written.

use std::time::Duration;

use kvlease_api::LeaseReply;
use kvlease_testing::bytes;

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::{Wire, refused},
};

/// A writer that has sent all but the last byte of `len`.
fn writer(daemon: &Daemon, len: usize) -> Wire {
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", len);
    writer.send(&bytes(len, 1)[..len - 1]);
    daemon.until("the write", |stats| stats.writes == 1);
    writer
}

/// Client that waits for the object.
fn waiter(daemon: &Daemon, timeout_ms: u64) -> Wire {
    let mut waiter = daemon.wire();
    let target = format!("/v1/kv/b/k/leases?timeout_ms={timeout_ms}");
    waiter.send(format!("POST {target} HTTP/1.1\r\nHost: d\r\n\r\n"));
    waiter
}

#[test]
fn a_seal_wakes_everyone_who_waits() {
    let daemon = Daemon::start();
    let mut writer = writer(&daemon, 100_000);
    let mut waiters: Vec<_> = (0..50).map(|_| waiter(&daemon, 30_000)).collect();
    assert!(waiters[0].is_silent_for(Duration::from_millis(50)), "nothing to lease yet");
    writer.send(&bytes(100_000, 1)[99_999..]);
    assert_eq!(writer.reply().status, 200);
    for waiter in &mut waiters {
        let lease: LeaseReply = waiter.reply().json();
        assert!(daemon.leased_bytes(&lease) == bytes(100_000, 1));
    }
    assert_eq!(daemon.stats().leases, 50);
}

#[test]
fn a_write_that_breaks_off_is_a_miss_at_once() {
    let daemon = Daemon::start();
    let writer = writer(&daemon, 100_000);
    let mut waiter = waiter(&daemon, 3_600_000);
    assert!(waiter.is_silent_for(Duration::from_millis(50)));
    drop(writer);
    assert_eq!(waiter.reply().refusal(), refused(404, "not_found"));
}

#[test]
fn a_stalled_write_is_answered_before_the_client_gives_up() {
    let daemon = Daemon::start();
    let writer = writer(&daemon, 100_000);
    // A machine that holds up the answer may hold up another one.
    let answered = (0..8).find_map(|_| {
        let mut waiter = waiter(&daemon, 4_000);
        waiter.limit(Duration::from_millis(4_000));
        let reply = waiter.try_reply().ok()?;
        Some((waiter, reply))
    });
    let (mut waiter, reply) = answered.expect("one of them comes in time");
    assert_eq!(reply.refusal(), refused(504, "still_writing"));
    waiter.limit(WAIT_MAX);
    assert_eq!(waiter.call("GET", "/healthz").status, 200, "the connection goes on");
    writer.finish();
}

#[test]
fn the_wait_is_capped_by_the_daemon() {
    let daemon = Daemon::with(|config| config.lease_wait_max = Duration::from_millis(50));
    let _writer = writer(&daemon, 100_000);
    assert_eq!(waiter(&daemon, 3_600_000).reply().refusal(), refused(504, "still_writing"));
}

#[test]
fn a_client_that_does_not_want_to_wait_is_answered_at_once() {
    let daemon = Daemon::start();
    let _writer = writer(&daemon, 100_000);
    assert_eq!(waiter(&daemon, 0).reply().refusal(), refused(504, "still_writing"));
}

#[test]
fn a_stalled_write_is_given_up_and_its_waiters_are_told() {
    let daemon = Daemon::with(|config| config.put_stall_timeout = Duration::from_secs(1));
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 100_000);
    writer.send(&bytes(100_000, 1)[..99_999]);
    // The daemon may have given it up before this looks.
    let aborted = || daemon.metric("kvlease_writes_aborted_total") > 0.0;
    daemon.eventually("the write", || daemon.stats().writes == 1 || aborted());
    let mut waiter = waiter(&daemon, 30_000);
    assert_eq!(waiter.reply().refusal(), refused(404, "not_found"));
    let reply = writer.reply();
    assert_eq!(reply.refusal(), refused(408, "body_incomplete"));
    assert_eq!(reply.header("connection"), Some("close"));
    writer.rest();
    daemon.until("nothing left", |stats| stats.writing == 0 && stats.free == stats.capacity);
}

#[test]
fn an_upload_that_drips_is_given_up_when_its_time_is_over() {
    let daemon = Daemon::with(|config| config.put_timeout = Duration::from_millis(300));
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 1 << 20);
    let mut dripping = true;
    while dripping {
        dripping = writer.try_send([0; 64]).is_ok() && daemon.stats().writes == 1;
    }
    assert_eq!(daemon.stats().objects, 0);
    drop(writer);
    daemon.until("nothing left", |stats| stats.writes == 0 && stats.free == stats.capacity);
}
