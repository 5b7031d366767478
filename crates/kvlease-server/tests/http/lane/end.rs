//! The orderly end of a daemon with clients of the fast lane.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    time::Duration,
};

use kvlease_api::{
    SOCKET_HEADER,
    lane::{DoneStatus, FailureCode, Mode},
};

use super::client::{Client, acquire, checksum, reserve};
use crate::daemon::{Daemon, WAIT_MAX};

#[test]
fn a_draining_daemon_ends_what_runs_and_takes_nothing_new() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = WAIT_MAX);
    daemon.put("k", b"x");
    let socket = daemon.socket();
    let mut client = Client::writer(&daemon);
    let lease = client.lease("k").0.sequence;
    let (write, _) = client.reserve_one("new", 0);
    let stopped = daemon.begin_shutdown();
    daemon.eventually("draining", || daemon.wire().call("GET", "/readyz").status == 503);
    let refused = client.call(acquire(&["k"], Mode::Each, Duration::ZERO)).failure();
    assert_eq!(refused, FailureCode::Unavailable);
    assert_eq!(client.call(reserve(&[("more", 10)])).failure(), FailureCode::Unavailable);
    assert_eq!(client.renew(&[lease]), [DoneStatus::Done]);
    assert_eq!(client.exists(&["k"], Mode::Each), [DoneStatus::Done]);
    assert_eq!(client.commit(&[(write, checksum(&[]))]), [DoneStatus::Done]);
    assert_eq!(client.release(&[lease]), [DoneStatus::Done]);
    stopped();
    assert!(client.raw.is_closed());
    assert!(!socket.exists(), "the socket's file goes with the daemon");
}

#[test]
fn a_lease_or_a_reservation_that_is_kept_bounds_the_end() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = Duration::from_millis(300));
    daemon.put("k", b"x");
    let mut client = Client::writer(&daemon);
    client.lease("k");
    client.reserve_one("new", 10);
    daemon.begin_shutdown()();
    assert!(client.raw.is_closed());
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = WAIT_MAX);
    let mut idle: Vec<_> = (0..20).map(|_| Client::reader(&daemon)).collect();
    daemon.begin_shutdown()();
    assert!(idle.iter_mut().all(|client| client.raw.is_closed()));
}

#[test]
fn a_socket_that_another_process_removed_comes_back() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut before = Client::reader(&daemon);
    for _ in 0..2 {
        fs::remove_file(daemon.socket()).unwrap();
        daemon.eventually("the socket is there", || UnixStream::connect(daemon.socket()).is_ok());
        let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(Client::reader(&daemon).exists(&["k"], Mode::Each), [DoneStatus::Done]);
    }
    assert_eq!(before.exists(&["k"], Mode::Each), [DoneStatus::Done], "its connection stays");
}

#[test]
fn a_socket_whose_path_another_file_has_is_not_advertised() {
    let daemon = Daemon::start();
    let is_advertised = || daemon.wire().call("HEAD", "/v1/kv/b/k").header(SOCKET_HEADER).is_some();
    assert!(is_advertised());
    let other = daemon.socket().with_extension("other");
    fs::write(&other, b"of another program").unwrap();
    fs::rename(&other, daemon.socket()).unwrap();
    daemon.eventually("it is not advertised", || !is_advertised());
    fs::remove_file(daemon.socket()).unwrap();
    daemon.eventually("it is back", is_advertised);
    Client::reader(&daemon);
}
