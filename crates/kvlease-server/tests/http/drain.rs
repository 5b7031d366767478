//! The orderly end: what runs may end, nothing new begins, and it does not take for ever.

use std::time::Duration;

use kvlease_api::LeaseReply;
use kvlease_testing::bytes;

use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::refused,
};

#[test]
fn a_draining_daemon_ends_what_runs_and_takes_nothing_new() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = WAIT_MAX);
    daemon.put("old", b"abc");
    let lease = daemon.lease("old");
    let body = bytes(1 << 20, 1);
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", body.len());
    writer.send(&body[..1000]);
    daemon.until("the write", |stats| stats.writes == 1);
    let mut wire = daemon.wire();
    let stopped = daemon.begin_shutdown();
    daemon.eventually("draining", || daemon.wire().call("GET", "/readyz").status == 503);
    assert_eq!(wire.call("GET", "/healthz").status, 200);
    for reply in [
        wire.put("/v1/kv/b/new", &body),
        wire.call("POST", "/v1/kv/b/old/leases"),
        wire.call("GET", "/readyz"),
    ] {
        assert_eq!(reply.refusal(), refused(503, "unavailable"));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/old").body, b"abc", "reads go on");
    writer.send(&body[1000..]);
    assert_eq!(writer.reply().status, 200);
    daemon.release(&lease);
    stopped();
    assert_eq!(writer.rest(), b"", "the connection was closed");
}

#[test]
fn a_lease_that_is_kept_bounds_the_end() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = Duration::from_millis(300));
    daemon.put("k", b"abc");
    let _lease: LeaseReply = daemon.lease("k");
    daemon.begin_shutdown()();
}

#[test]
fn a_writer_that_stalls_bounds_the_end() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = Duration::from_millis(300));
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/k", 100);
    writer.send("abc");
    daemon.until("the write", |stats| stats.writes == 1);
    daemon.begin_shutdown()();
}

#[test]
fn an_idle_daemon_ends_with_its_idle_connections() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = WAIT_MAX);
    let mut idle: Vec<_> = (0..20).map(|_| daemon.wire()).collect();
    assert_eq!(idle[0].call("GET", "/healthz").status, 200);
    daemon.begin_shutdown()();
    for wire in &mut idle {
        assert_eq!(wire.rest(), b"");
    }
}
