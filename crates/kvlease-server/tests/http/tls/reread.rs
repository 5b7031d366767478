//! Certificates of a running daemon that are replaced.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use kvlease_harness::until;
use kvlease_testing::bytes;

use super::{
    authority::{Authority, shown},
    encrypted, metric,
};
use crate::daemon::{Daemon, WAIT_MAX};

/// Waits until new connections get this certificate.
fn await_shown(authority: &Authority, daemon: &Daemon, certificate: &[u8]) {
    let is_shown = || shown(authority, daemon.address).is_some_and(|found| found == certificate);
    assert!(until(WAIT_MAX, || is_shown().then_some(())).is_some());
}

#[test]
fn certificates_are_replaced_under_load_and_no_request_fails() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |_| {});
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..3 {
            let (authority, address, stop, done) = (&authority, daemon.address, &stop, &done);
            scope.spawn(move || {
                let body = bytes(200_000, client);
                let mut kept = authority.open(address);
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let target = format!("/v1/kv/b{client}/{}", n % 8);
                    // A new connection each time, beside one that stays.
                    let mut fresh = authority.open(address);
                    assert!([200, 409].contains(&fresh.put(&target, &body).status));
                    assert!(fresh.call("GET", &target).body == body);
                    assert!(kept.call("GET", &target).body == body);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            let before = done.load(Ordering::Relaxed);
            let next = authority.sign("127.0.0.1", false);
            authority.write(&next);
            await_shown(&authority, &daemon, &next.serial());
            let moved = || (done.load(Ordering::Relaxed) > before + 3).then_some(());
            assert!(until(WAIT_MAX, moved).is_some());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(metric(&daemon, "kvlease_tls_reread_failures_total"), 0.0);
    assert_eq!(metric(&daemon, "kvlease_tls_handshake_failures_total"), 0.0);
}

#[test]
fn a_broken_certificate_leaves_the_one_of_before_in_use() {
    let authority = Authority::new();
    let daemon = encrypted(&authority, |_| {});
    let first = shown(&authority, daemon.address).unwrap();
    let expiry = "kvlease_tls_certificate_expiry_timestamp_seconds{listener=\"server\"}";
    let expires = metric(&daemon, expiry);
    assert!(expires > 1e9, "{expires}");
    let broken = |failures: f64| {
        let counted = || metric(&daemon, "kvlease_tls_reread_failures_total") >= failures;
        assert!(until(WAIT_MAX, || counted().then_some(())).is_some());
        assert_eq!(shown(&authority, daemon.address).unwrap(), first);
        assert_eq!(metric(&daemon, expiry), expires);
    };
    fs::write(authority.file("daemon.pem"), "no certificate").unwrap();
    broken(1.0);
    authority.write(&authority.sign("127.0.0.1", true));
    broken(2.0);
    fs::remove_file(authority.file("daemon.key")).unwrap();
    broken(3.0);
    let next = authority.sign("127.0.0.1", false);
    authority.write(&next);
    await_shown(&authority, &daemon, &next.serial());
}
