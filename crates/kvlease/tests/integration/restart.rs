//! The program is killed and started again on the segment that it left.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::FileExt, process::ExitStatusExt},
};

use kvlease_harness::{Daemon, Payload, await_that};

use crate::program::{daemon, launch, run_on};

fn key(n: usize) -> String {
    format!("k{n}")
}

fn object(n: usize) -> Vec<u8> {
    Payload::new(&key(n), 1, 300_000 + n).bytes()
}

fn put(daemon: &Daemon, n: usize) {
    let output = run_on(daemon, &["put", &key(n), "-"], &object(n));
    assert!(output.status.success(), "{output:?}");
}

/// True if the object is there; its bytes must be right then.
fn get(daemon: &Daemon, n: usize) -> bool {
    let output = run_on(daemon, &["get", &key(n), "-"], b"");
    let found = output.status.success();
    assert!(!found || Payload::verify(&key(n), &output.stdout) == Ok(1), "wrong bytes");
    found
}

#[test]
fn what_was_stored_is_there_again_after_a_kill() {
    let mut daemon = daemon();
    (0..5).for_each(|n| put(&daemon, n));
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert!((0..5).all(|n| get(&daemon, n)));
    assert!(daemon.log().contains("starting warm"), "{}", daemon.log());
    assert!(daemon.log().contains("objects=5"), "{}", daemon.log());
}

#[test]
fn objects_that_are_there_again_are_under_the_policies_of_the_new_configuration() {
    let mut daemon = daemon();
    (0..3).for_each(|n| put(&daemon, n));
    daemon.kill().unwrap();
    let pins = ["--set", "bucket.lmcache.pinned=k1", "--set", "bucket.lmcache.ttl_s=3600"];
    daemon.start_again_as(&launch().args(pins)).unwrap();
    let shown = run_on(&daemon, &["bucket", "ls", "--json"], b"").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let bucket = &shown["buckets"][0];
    assert_eq!((&bucket["objects"], &bucket["pinned_objects"]), (&3.into(), &1.into()), "{shown}");
    assert!((0..3).all(|n| get(&daemon, n)));
    daemon.kill().unwrap();
    // Their time is counted from when they were stored, not from the start.
    daemon.start_again_as(&launch().args(["--set", "bucket.lmcache.ttl_s=0.001"])).unwrap();
    assert!(!(0..3).any(|n| get(&daemon, n)));
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    let shown = run_on(&daemon, &["bucket", "ls", "--json"], b"").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["buckets"], serde_json::json!([]));
}

#[test]
fn a_cold_start_is_empty_and_says_so() {
    let mut daemon = daemon();
    put(&daemon, 1);
    daemon.kill().unwrap();
    daemon.start_again_as(&launch().args(["--cold"])).unwrap();
    assert!(!get(&daemon, 1));
    assert!(daemon.log().contains("starting cold, as configured"), "{}", daemon.log());
}

#[test]
fn a_record_of_another_version_is_explained_and_never_misread() {
    let mut daemon = daemon();
    put(&daemon, 1);
    daemon.kill().unwrap();
    let golden = include_bytes!("../../../kvlease-arena/testdata/manifest-v1.bin");
    fs::write(daemon.segment().private_path().join("record"), golden).unwrap();
    daemon.start_again().unwrap();
    assert!(!get(&daemon, 1));
    let log = daemon.log();
    assert!(log.contains("starting cold") && log.contains("before the last boot"), "{log}");
    put(&daemon, 1);
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert!(get(&daemon, 1), "the record is whole again");
}

#[test]
fn a_lease_fence_that_cannot_be_read_is_reported_with_its_effect_and_its_end() {
    let mut daemon = daemon();
    put(&daemon, 1);
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert!(!daemon.log().contains("the lease fence"), "{}", daemon.log());
    daemon.kill().unwrap();
    fs::remove_file(daemon.segment().private_path().join("horizon")).unwrap();
    daemon.start_again_as(&launch().set(["lease.ttl_max_s=3000"])).unwrap();
    let log = daemon.log();
    let warning = log.lines().find(|line| line.contains("the lease fence")).expect("a warning");
    assert!(warning.contains("WARN") && warning.contains("is missing"), "{warning}");
    assert!(warning.contains("no space of the segment is reused"), "{warning}");
    // The longest lease and its grace, less the time that the start took.
    let ends_in = warning.split("ends_in_s=").nth(1).unwrap();
    let ends_in: u64 = ends_in.split_whitespace().next().unwrap().parse().unwrap();
    assert!((1_000..=3_010).contains(&ends_in), "{warning}");
    assert!(get(&daemon, 1), "objects are there all the same");
    let refused = run_on(&daemon, &["put", "k2", "-"], &object(2));
    assert!(!refused.status.success(), "the space may still be read");
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert!(!daemon.log().contains("the lease fence"), "{}", daemon.log());
}

#[test]
fn a_segment_that_somebody_cuts_ends_the_daemon_and_what_is_left_is_served() {
    let mut daemon = daemon();
    (0..100).for_each(|n| put(&daemon, n));
    let segment = OpenOptions::new().write(true).open(daemon.segment().path()).unwrap();
    segment.set_len(10 << 20).unwrap();
    let status = daemon.wait().unwrap();
    assert!(status.signal().is_some(), "{status:?}");
    // The daemon finds it by itself, or meets it in an access.
    let log = daemon.log();
    assert!(log.contains("cut the segment shorter") || log.contains("truncated"), "{log}");
    daemon.start_again().unwrap();
    let log = daemon.log();
    assert!(log.contains("gave it its size back"), "{log}");
    assert_eq!(segment.metadata().unwrap().len(), 64 << 20);
    let left: Vec<_> = (0..100).filter(|n| get(&daemon, *n)).collect();
    assert!((30..=34).contains(&left.len()), "as many as 10 MiB hold: {left:?}");
    put(&daemon, 99);
}

#[test]
fn a_byte_that_was_changed_is_found_before_anybody_gets_it() {
    let mut daemon = daemon();
    (0..3).for_each(|n| put(&daemon, n));
    daemon.kill().unwrap();
    let segment = File::options().read(true).write(true).open(daemon.segment().path()).unwrap();
    let mut whole = vec![0; 8 << 20];
    segment.read_exact_at(&mut whole, 0).unwrap();
    let one = object(1);
    let at = whole.windows(one.len()).position(|bytes| bytes == one).unwrap() + 40;
    segment.write_all_at(&[!whole[at]], at as u64).unwrap();
    daemon.start_again().unwrap();
    assert_eq!([0, 1, 2].map(|n| get(&daemon, n)), [true, false, true]);
    let log = daemon.log();
    assert!(log.contains("bytes were changed in the arena") && log.contains("k1"), "{log}");
    put(&daemon, 1);
    assert!(get(&daemon, 1));
}

/// Plays a service manager: it listens, and starts the daemon on its socket again and again.
#[test]
fn no_client_is_refused_while_a_service_manager_keeps_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = Daemon::start(launch().activated_by(&listener).unwrap()).unwrap();
    put(&daemon, 1);
    daemon.kill().unwrap();
    // No daemon serves, and yet the connection is taken.
    let mut early = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    early
        .write_all(
            b"GET /v1/kv/lmcache/k1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    daemon.start_again().unwrap();
    let mut reply = Vec::new();
    early.read_to_end(&mut reply).unwrap();
    assert!(reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply[..200]));
    assert!(reply.ends_with(&object(1)), "the object of the daemon before");
}

#[test]
fn a_daemon_without_descriptors_goes_on_when_there_are_some_again_and_stays_warm() {
    let mut daemon = Daemon::start(launch().ulimit("-n 40")).unwrap();
    put(&daemon, 1);
    // More than it can take: the rest waits in the kernel.
    let idle: Vec<_> = (0..60).map(|_| TcpStream::connect(daemon.address()).unwrap()).collect();
    await_that("the daemon logs that it cannot accept", || {
        daemon.log().contains("cannot accept a connection")
    });
    drop(idle);
    assert!(get(&daemon, 1));
    daemon.kill().unwrap();
    daemon.start_again_as(&launch()).unwrap();
    assert!(get(&daemon, 1));
}
