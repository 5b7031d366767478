//! Clients of the fast lane that are killed in the middle of what they do.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use kvlease_soak::{
    Daemon,
    actor::{HALF_FILLED, HELD},
    wire,
};

use crate::support::{ACTOR, BUCKET, assert_all_is_free, await_that, daemon, get, put};

const LEN: usize = (3 << 20) + 17;

/// Starts an actor on one object and waits until it says that it is where it should be.
fn start(daemon: &Daemon, part: &str, key: &str, more: [&str; 2], says: &str) -> Child {
    let mut command = Command::new(ACTOR);
    command.arg(part).arg("--socket").arg(daemon.segment().socket_path());
    command.args(["--bucket", BUCKET, "--key", key]).args(more);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), says);
    process
}

fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_writer_that_is_killed_in_a_fill_leaves_nothing_behind() {
    let daemon = daemon("16MiB", &[]);
    let free = daemon.stats().unwrap().free;
    let len = LEN.to_string();
    for round in 0..5 {
        let writer = start(&daemon, "lane-fill-half", "cut", ["--len", &len], HALF_FILLED);
        assert_eq!(daemon.stats().unwrap().writes, 1);
        assert_eq!(get(&daemon, "cut"), 404, "an unfinished object is invisible");
        assert_eq!(put(&daemon, "cut", 1024), 409, "its key is taken");
        kill(writer);
        // Far sooner than the reservation would have ended by itself: that is one of 30 seconds.
        await_that("the object is discarded", || daemon.stats().unwrap().writes == 0);
        let stats = daemon.stats().unwrap();
        assert_eq!((stats.free, stats.writing, stats.objects), (free, 0, 0));
        assert_eq!(get(&daemon, "cut"), 404);
        assert_eq!(put(&daemon, "cut", LEN), 200, "round {round}");
        assert_eq!(get(&daemon, "cut"), 200);
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_all_is_free(&daemon);
}

#[test]
fn a_reader_that_is_killed_in_a_read_leaves_no_lease_however_long_it_was() {
    let daemon = daemon("16MiB", &["lease.ttl_max_s=3600"]);
    for round in 0..5 {
        assert_eq!(put(&daemon, "read", LEN), 200);
        let readers: Vec<_> = (0..3)
            .map(|_| start(&daemon, "lane-hold", "read", ["--ttl-s", "3600"], HELD))
            .collect();
        assert_eq!(daemon.stats().unwrap().leases, 3);
        let reply = daemon.call("DELETE", &wire::object(BUCKET, "read"), b"").unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(put(&daemon, "whole", 15 << 20), 507, "its bytes are being read");
        readers.into_iter().for_each(kill);
        await_that("the leases are gone", || daemon.stats().unwrap().leases == 0);
        assert_eq!(put(&daemon, "whole", 15 << 20), 200, "round {round}");
        daemon.remove_all(BUCKET).unwrap();
    }
    assert_eq!(daemon.stats().unwrap().leases_expired, 0);
    assert_all_is_free(&daemon);
}
