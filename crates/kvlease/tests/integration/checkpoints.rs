//! Checkpoints outlive a daemon that is killed, as objects of the KV cache do.

use kvlease_harness::{Daemon, wire::Wire};

use crate::program::daemon;

const META: &str = "checksum of the client";
const RANKS: u32 = 3;

fn wire(daemon: &Daemon) -> Wire {
    Wire::open(daemon.address())
}

fn shard(rank: u32, step: u64) -> String {
    format!("/v1/cp/checkpoints/job/{rank}/{step}")
}

fn body(rank: u32, step: u64) -> Vec<u8> {
    vec![(step as u8) ^ (rank as u8); 300_000 + step as usize]
}

fn begin(wire: &mut Wire, target: &str, len: usize) {
    wire.send(format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nShard-Meta: {META}\r\nContent-Length: {len}\r\n\r\n"
    ));
}

fn post(wire: &mut Wire, target: &str, body: &[u8]) {
    begin(wire, target, body.len());
    wire.send(body);
    let reply = wire.reply();
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn latest(wire: &mut Wire) -> Vec<u64> {
    wire.call("GET", "/v1/cp/checkpoints/job/latest").json()
}

#[test]
fn checkpoints_are_there_again_after_a_kill_and_only_whole_ones_are_listed() {
    let mut daemon = daemon();
    let mut client = wire(&daemon);
    post(&mut client, "/v1/cp/namespaces/job?num_ranks=3&steps_retained=2", b"");
    for (rank, step) in (0..RANKS).flat_map(|rank| [10, 20, 30].map(|step| (rank, step))) {
        post(&mut client, &shard(rank, step), &body(rank, step));
    }
    let before = latest(&mut client);
    post(&mut client, &shard(0, 40), &body(0, 40));
    // One that is under way is lost.
    begin(&mut client, &shard(1, 40), 100);
    client.send(b"half");
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    let mut client = wire(&daemon);
    let namespace = client.call("GET", "/v1/cp/namespaces/job").text();
    assert_eq!(namespace, r#"{"num_ranks":3,"steps_to_retain_per_rank":2}"#);
    let after = latest(&mut client);
    assert_eq!((before.first(), after.as_slice()), (Some(&30), &[30][..]));
    for rank in 0..RANKS {
        let got = client.call("GET", &shard(rank, 30));
        assert_eq!((got.status, got.header("shard-meta")), (200, Some(META)));
        assert!(got.body == body(rank, 30), "rank {rank}");
    }
    assert_eq!(client.call("GET", &shard(0, 40)).status, 200);
    assert_eq!(client.call("GET", &shard(1, 40)).status, 404);
    // What was removed stays removed, and a job goes on.
    for rank in 0..RANKS {
        post(&mut client, &shard(rank, 40), &body(rank, 40));
    }
    assert_eq!(latest(&mut client), [40, 30]);
    assert_eq!(client.call("DELETE", "/v1/cp/namespaces/job").status, 200);
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    assert_eq!(wire(&daemon).call("GET", "/v1/cp/namespaces/job").status, 404);
}
