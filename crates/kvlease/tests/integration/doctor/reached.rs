//! Faults that a daemon tells of itself, or by its silence.

use std::fs;

use kvlease_harness::{Daemon, Segment, await_that, object, unused_address};

use super::{file, look, look_at, place::ON_DISK};
use crate::program::{daemon, launch};

/// As many objects, and misses, as make the absence of hits no chance.
const MANY: usize = 100;

#[test]
fn a_daemon_that_does_not_answer_is_a_finding() {
    let url = format!("http://{}", unused_address());
    let found = look(&[], &["--url", &url, "--shared-memory-name", "kvlease-test-no-such"]);
    found.assert_found(&["daemon-unreachable", "segment-missing"]);
    assert!(found.names("not_checked").contains("socket-unreachable"), "{:#}", found.report);
}

#[test]
fn a_daemon_that_takes_no_work_is_a_finding() {
    let daemon = daemon();
    // The name goes from one file to the other at once: the daemon restores one that is missing.
    let other = Segment::new();
    fs::write(other.path(), [0; 4096]).unwrap();
    fs::rename(other.path(), daemon.segment().path()).unwrap();
    await_that("the daemon misses its name", || {
        daemon.call("GET", "/readyz", b"").unwrap().status == 503
    });
    look_at(&daemon, &[]).assert_found(&["daemon-not-ready", "segment-not-the-daemons"]);
}

#[test]
fn objects_that_no_engine_finds_are_a_finding() {
    let daemon = daemon();
    for number in 0..MANY {
        let stored = object("lmcache", &format!("model@1@0@{number:x}@half"));
        assert_eq!(daemon.call("PUT", &stored, b"bytes").unwrap().status, 200);
        let other = object("lmcache", &format!("model@1@0@f{number:x}@half"));
        assert_eq!(daemon.call("POST", &format!("{other}/leases"), b"").unwrap().status, 404);
    }
    look_at(&daemon, &[]).assert_found(&["stores-without-hits"]);
    let found = object("lmcache", "model@1@0@0@half");
    let lease = daemon.call("POST", &format!("{found}/leases?ttl_s=60"), b"").unwrap();
    assert_eq!(lease.status, 200);
    look_at(&daemon, &[]).assert_found(&[]);
}

#[test]
fn leases_that_end_by_their_time_are_a_finding() {
    let daemon = daemon();
    let path = object("lmcache", "k");
    assert_eq!(daemon.call("PUT", &path, b"bytes").unwrap().status, 200);
    let lease = daemon.call("POST", &format!("{path}/leases?ttl_s=0.05"), b"").unwrap();
    assert_eq!(lease.status, 200);
    await_that("the lease has expired", || daemon.stats().unwrap().leases_expired == 1);
    look_at(&daemon, &[]).assert_found(&["leases-expire"]);
}

#[test]
fn a_report_of_an_intact_object_is_a_finding() {
    let daemon = daemon();
    let path = object("lmcache", "k");
    assert_eq!(daemon.call("PUT", &path, b"bytes").unwrap().status, 200);
    let report = daemon.call("POST", &format!("{path}/reports"), b"").unwrap();
    assert!((200..300).contains(&report.status), "{report:?}");
    let unfounded = || daemon.metric("kvlease_reports_unfounded_total").unwrap();
    await_that("the daemon has looked", || unfounded() == 1.0);
    look_at(&daemon, &[]).assert_found(&["reports-unfounded"]);
}

#[test]
fn a_quota_that_refuses_is_a_finding() {
    let quotas = ["bucket.lmcache.objects_max=2", "bucket.x.bytes_max=4096"];
    let daemon = Daemon::start(launch().set(quotas)).unwrap();
    look_at(&daemon, &[]).assert_found(&[]);
    for number in 0..2 {
        let path = object("lmcache", &number.to_string());
        assert_eq!(daemon.call("PUT", &path, b"bytes").unwrap().status, 200);
    }
    let full = look_at(&daemon, &[]);
    full.assert_found(&[]);
    let text = full.text("quota-reached");
    assert!(text.contains("quotas=`bucket lmcache`"), "{text}");
    let refused = daemon.call("PUT", &object("x", "k"), &[0; 4097]).unwrap();
    assert_eq!(refused.status, 507);
    let found = look_at(&daemon, &[]);
    found.assert_found(&["quota-reached"]);
    let text = found.text("quota-reached");
    assert!(text.contains("refused 1 requests, bucket=`x`"), "{text}");
}

#[test]
fn a_tier_that_fails_is_a_finding() {
    let url = format!("tier.remote.url=redis://{}", unused_address());
    let daemon = Daemon::start(launch().set([url])).unwrap();
    let broken = || daemon.stats().unwrap().tiers[0].broken;
    let mut number = 0;
    await_that("the tier is left alone", || {
        number += 1;
        let path = object("lmcache", &format!("{number}"));
        assert_eq!(daemon.call("PUT", &path, b"bytes").unwrap().status, 200);
        broken()
    });
    look_at(&daemon, &[]).assert_has(&["tier-broken"]);
}

#[test]
fn a_tier_that_refuses_objects_is_a_finding() {
    let folder = tempfile::tempdir_in(ON_DISK).unwrap();
    let path = format!("tier.nvme.path={}", folder.path().display());
    // An object may have a segment, of which there are sixteen.
    let settings = [path.as_str(), "tier.nvme.capacity=64MiB", "tier.nvme.write_through=all"];
    let daemon = Daemon::start(launch().set(settings)).unwrap();
    let put = |key: &str, len: usize| {
        let stored = daemon.call("PUT", &object("lmcache", key), &vec![7; len]).unwrap();
        assert_eq!(stored.status, 200);
    };
    put("small", 4096);
    let stores = || daemon.metric("kvlease_tier_stores_total{tier=\"nvme\"}").unwrap();
    await_that("the small one is on the disk", || stores() == 1.0);
    look_at(&daemon, &[]).assert_found(&[]);
    put("large", 5 << 20);
    let unfit = || daemon.metric("kvlease_tier_unfit_total{tier=\"nvme\"}").unwrap();
    await_that("the large one was refused", || unfit() == 1.0);
    let found = look_at(&daemon, &[]);
    found.assert_found(&["tier-refuses-objects"]);
    let text = found.text("tier-refuses-objects");
    assert!(text.contains("took 1 objects and refused 1, tier=`nvme`"), "{text}");
}

#[test]
fn a_caller_whom_no_tenant_has_is_a_finding() {
    // The harness asks at the first listener, and the doctor at the second one.
    let address = unused_address();
    let settings = [
        "tenant.operators.listeners=server".to_owned(),
        "tenant.operators.admin=true".to_owned(),
        // The token is `abc`.
        "tenant.a.token_sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            .to_owned(),
        "tenant.a.read=*".to_owned(),
        format!("listener.other.address={address}"),
    ];
    let daemon = Daemon::start(launch().set(settings)).unwrap();
    let url = format!("http://{address}");
    let name = daemon.segment().name().to_owned();
    let look_with = |token: &str| {
        let (_dir, path) = file("token", token);
        let args = ["--url", &url, "--shared-memory-name", &name, "--token-file", &path];
        look(&[], if token.is_empty() { &args[..4] } else { &args[..] })
    };
    for token in ["", "wrong"] {
        let found = look_with(token);
        found.assert_has(&["caller-refused"]);
        let text = found.text("caller-refused");
        assert!(text.contains("kvlease_token_file"), "{text}");
    }
    let known = look_with("abc\n");
    assert!(!known.found().contains("caller-refused"), "{:#}", known.report);
    let unseen = known.report["not_checked"].as_array().unwrap();
    let why = unseen.iter().find(|entry| entry["name"] == "tier-broken").unwrap();
    assert!(why["why"].as_str().unwrap().contains("`admin`"), "{why}");
}
