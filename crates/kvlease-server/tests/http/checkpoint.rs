//! Checkpoints of training jobs: every route, retention, quota, and what keeps shards apart from the KV
//! cache.

use std::{fmt::Write as _, time::Duration};

use kvlease_api::{CHECKSUM_HEADER, NamespaceReply, StoredReply};
use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use crate::{
    daemon::Daemon,
    tiers::Disk,
    wire::{Reply, Wire, refused},
};

const META: &str = r#"{"checksum": "pfLLnGaDpqEbGUoLn+qHHg==", "algorithm": "xxh3_128"}"#;
const NAMESPACE: &str = "/v1/cp/namespaces/job";

fn shard(rank: u32, step: u64) -> String {
    format!("/v1/cp/checkpoints/job/{rank}/{step}")
}

/// Sends a shard as the client does.
fn post(wire: &mut Wire, target: &str, body: &[u8], meta: Option<&str>) -> Reply {
    let mut head =
        format!("POST {target} HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n", body.len());
    if let Some(meta) = meta {
        let _ = write!(head, "Shard-Meta: {meta}\r\n");
    }
    wire.send(head + "\r\n");
    wire.send(body);
    wire.reply()
}

fn create(wire: &mut Wire, num_ranks: u32, steps_retained: u32) {
    let query = format!("num_ranks={num_ranks}&steps_retained={steps_retained}");
    assert_eq!(post(wire, &format!("{NAMESPACE}?{query}"), b"", None).status, 200);
}

fn save(wire: &mut Wire, ranks: u32, step: u64, len: usize) {
    for rank in 0..ranks {
        let reply = post(wire, &shard(rank, step), &bytes(len, step + u64::from(rank)), Some(META));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn latest(wire: &mut Wire) -> Vec<u64> {
    wire.call("GET", "/v1/cp/checkpoints/job/latest?limit=3").json()
}

#[test]
fn a_namespace_is_made_described_and_removed() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    assert_eq!(wire.call("GET", NAMESPACE).refusal(), refused(404, "not_found"));
    create(&mut wire, 3, 2);
    let reply: NamespaceReply = wire.call("GET", NAMESPACE).json();
    assert_eq!(reply, NamespaceReply { num_ranks: 3, steps_to_retain_per_rank: 2 });
    create(&mut wire, 3, 2);
    let other = post(&mut wire, &format!("{NAMESPACE}?num_ranks=4"), b"", None);
    assert_eq!(other.refusal(), refused(409, "exists"));
    save(&mut wire, 3, 10, 100);
    assert_eq!(wire.call("DELETE", NAMESPACE).status, 200);
    assert_eq!(wire.call("DELETE", NAMESPACE).refusal(), refused(404, "not_found"));
    assert_eq!(wire.call("GET", &shard(0, 10)).refusal(), refused(404, "not_found"));
    let gone = wire.call("GET", "/v1/cp/checkpoints/job/latest");
    assert_eq!(gone.refusal(), refused(404, "not_found"));
    daemon.until("an empty arena", |stats| stats.objects == 0);
    create(&mut wire, 1, 1);
    assert_eq!(latest(&mut wire), [0; 0], "a namespace that is made anew is empty");
}

#[test]
fn a_shard_comes_back_with_what_its_client_said_of_it() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    let sent = bytes((3 << 20) + 7, 1);
    let reply: StoredReply = post(&mut wire, &shard(0, 10), &sent, Some(META)).json();
    assert_eq!(reply.checksum, Digest::of(&sent).to_string());
    assert_eq!(latest(&mut wire), [0; 0], "the other rank's shard is missing");
    let empty = post(&mut wire, &shard(1, 10), b"", None);
    assert_eq!(empty.status, 200);
    let got = wire.call("GET", &shard(0, 10));
    assert_eq!((got.status, got.header("shard-meta")), (200, Some(META)));
    assert_eq!(got.header("content-length"), Some(sent.len().to_string().as_str()));
    assert_eq!(got.header("content-encoding"), None);
    assert_eq!(got.header(CHECKSUM_HEADER), Some(reply.checksum.as_str()));
    assert!(got.body == sent);
    let head = wire.call("HEAD", &shard(0, 10));
    assert_eq!((head.status, head.header("shard-meta")), (200, Some(META)));
    let got = wire.call("GET", &shard(1, 10));
    assert_eq!((got.status, got.header("shard-meta"), got.body.len()), (200, None, 0));
    assert_eq!(latest(&mut wire), [10]);
    assert_eq!(wire.call("DELETE", &shard(1, 10)).status, 200);
    assert_eq!(wire.call("DELETE", &shard(1, 10)).refusal(), refused(404, "not_found"));
    assert_eq!(latest(&mut wire), [0; 0]);
}

#[test]
fn a_rewritten_shard_takes_the_place_of_the_one_before() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    save(&mut wire, 2, 10, 1000);
    let reply = post(&mut wire, &shard(0, 10), b"second", Some("other"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let got = wire.call("GET", &shard(0, 10));
    assert_eq!((got.body.as_slice(), got.header("shard-meta")), (&b"second"[..], Some("other")));
    assert_eq!(latest(&mut wire), [0; 0], "shards of two runs are no checkpoint");
    assert_eq!(post(&mut wire, &shard(1, 10), b"second", Some(META)).status, 200);
    assert_eq!(latest(&mut wire), [10]);
    daemon.until("the earlier shards to leave", |stats| stats.objects == 3);
}

#[test]
fn a_shard_that_breaks_off_leaves_the_one_before() {
    let daemon = Daemon::with(|config| config.put_stall_timeout = Duration::from_secs(1));
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    save(&mut wire, 1, 10, 1000);
    let mut broken = daemon.wire();
    broken
        .send(format!("POST {} HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nab", shard(0, 10)));
    assert_eq!(broken.reply().refusal(), refused(408, "body_incomplete"));
    assert_eq!(wire.call("GET", &shard(0, 10)).body, bytes(1000, 10));
    assert_eq!(latest(&mut wire), [10]);
    let taken = (2 << 16) as f64;
    assert_eq!(daemon.metric("kvlease_checkpoint_taken_bytes"), taken, "the quota has it back");
}

#[test]
fn steps_leave_as_a_whole_and_only_whole_ones_are_listed() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 3, 2);
    save(&mut wire, 3, 10, 500);
    save(&mut wire, 3, 20, 500);
    assert_eq!(latest(&mut wire), [20, 10]);
    assert_eq!(post(&mut wire, &shard(0, 30), b"first", None).status, 200);
    assert_eq!(latest(&mut wire), [20]);
    for rank in 0..3 {
        assert_eq!(wire.call("GET", &shard(rank, 10)).status, 404, "rank {rank} of the oldest");
    }
    save(&mut wire, 3, 30, 500);
    assert_eq!(latest(&mut wire), [30, 20]);
    let one: Vec<u64> = wire.call("GET", "/v1/cp/checkpoints/job/latest?limit=1").json();
    assert_eq!(one, [30]);
    assert_eq!(daemon.metric("kvlease_checkpoint_steps_dropped_total"), 1.0);
    assert_eq!(daemon.metric("kvlease_checkpoint_shards"), 6.0);
}

#[test]
fn no_pressure_of_the_kv_cache_takes_a_shard() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    save(&mut wire, 2, 10, 3 << 20);
    for round in 0..40 {
        daemon.put(&format!("k{round}"), &bytes(1 << 20, round));
    }
    assert!(daemon.stats().evictions > 0, "the KV cache was under pressure");
    assert_eq!(latest(&mut wire), [10]);
    assert_eq!(wire.call("GET", &shard(0, 10)).body, bytes(3 << 20, 10));
}

#[test]
fn a_quota_takes_older_steps_and_then_refuses_before_the_body() {
    let daemon = Daemon::with(|config| config.checkpoint_capacity = Some(ByteSize::mib(9)));
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    save(&mut wire, 2, 10, 2 << 20);
    save(&mut wire, 2, 20, 2 << 20);
    // A third step fits for the oldest one alone.
    save(&mut wire, 2, 30, 2 << 20);
    assert_eq!(latest(&mut wire), [30, 20]);
    // A body that is not sent: the answer does not wait for it, and ends the connection.
    let mut long = daemon.wire();
    long.send(format!(
        "POST {} HTTP/1.1\r\nHost: d\r\nContent-Length: 9437185\r\n\r\n",
        shard(0, 40)
    ));
    let reply = long.reply();
    assert_eq!(reply.refusal(), refused(507, "no_space"));
    assert_eq!(reply.header("connection"), Some("close"));
    // After a short one the connection goes on.
    let reply = post(&mut wire, &shard(0, 40), &bytes(6 << 20, 1), None);
    assert_eq!(reply.refusal(), refused(507, "no_space"));
    assert_eq!(latest(&mut wire), [30, 20], "a refusal takes nothing");
    assert_eq!(daemon.metric("kvlease_checkpoint_shards_refused_total"), 2.0);
}

#[test]
fn a_daemon_without_checkpoints_has_no_room_for_a_namespace() {
    let daemon = Daemon::with(|config| config.checkpoint_capacity = Some(ByteSize::ZERO));
    let reply = post(&mut daemon.wire(), &format!("{NAMESPACE}?num_ranks=1"), b"", None);
    assert_eq!(reply.refusal(), refused(507, "no_space"));
}

#[test]
fn a_shard_waits_for_room_that_a_lease_holds() {
    let daemon = Daemon::with(|config| config.checkpoint_capacity = Some(ByteSize::mib(12)));
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    daemon.put("k", &bytes(12 << 20, 1));
    let lease = daemon.lease("k");
    let mut waiting = daemon.wire();
    waiting.send(format!(
        "POST {} HTTP/1.1\r\nHost: d\r\nContent-Length: 8388608\r\n\r\n",
        shard(0, 10)
    ));
    assert!(waiting.is_silent_for(Duration::from_millis(300)));
    daemon.release(&lease);
    waiting.send(bytes(8 << 20, 2));
    assert_eq!(waiting.reply().status, 200);
    assert_eq!(latest(&mut wire), [10]);
}

#[test]
fn a_draining_daemon_takes_shards() {
    let mut daemon = Daemon::with(|config| config.drain_timeout = Duration::from_secs(20));
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    // A lease keeps the drain waiting.
    daemon.put("k", b"bytes");
    let lease = daemon.lease("k");
    let stopped = daemon.begin_shutdown();
    daemon.eventually("draining", || daemon.wire().call("GET", "/readyz").status == 503);
    assert_eq!(wire.put("/v1/kv/b/other", b"x").status, 503);
    save(&mut wire, 1, 10, 1000);
    assert_eq!(latest(&mut wire), [10]);
    daemon.release(&lease);
    stopped();
}

#[test]
fn a_reset_removes_checkpoints_and_nothing_else() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    save(&mut wire, 1, 10, 1000);
    assert_eq!(post(&mut wire, "/v1/cp/namespaces/b?num_ranks=1", b"", None).status, 200);
    daemon.put("k", b"bytes");
    assert_eq!(post(&mut wire, "/v1/cp/cluster/reset", b"", None).status, 200);
    for name in ["job", "b"] {
        assert_eq!(wire.call("GET", &format!("/v1/cp/namespaces/{name}")).status, 404, "{name}");
    }
    assert_eq!(daemon.status_of("k"), 200);
    assert_eq!(daemon.metric("kvlease_checkpoint_taken_bytes"), 0.0);
}

#[test]
fn a_shard_of_a_namespace_that_is_removed_meanwhile_is_refused() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    let mut writer = daemon.wire();
    writer
        .send(format!("POST {} HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nab", shard(0, 10)));
    daemon.until("the write", |stats| stats.writes == 1);
    assert_eq!(wire.call("DELETE", NAMESPACE).status, 200);
    create(&mut wire, 1, 3);
    writer.send("c");
    assert_eq!(writer.reply().refusal(), refused(404, "not_found"));
    assert_eq!(latest(&mut wire), [0; 0]);
    daemon.until("the write to leave", |stats| (stats.writes, stats.objects) == (0, 1));
}

#[test]
fn what_is_malformed_is_named() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    let long = "n".repeat(237);
    for target in [
        "/v1/cp/checkpoints/job/x/10",
        "/v1/cp/checkpoints/job/-1/10",
        "/v1/cp/checkpoints/job/+1/10",
        "/v1/cp/checkpoints/job/4294967296/10",
        "/v1/cp/checkpoints/job/1/1.5",
        "/v1/cp/checkpoints/job/1/",
        "/v1/cp/checkpoints//1/10",
        &format!("/v1/cp/namespaces/{long}"),
        "/v1/cp/checkpoints/job/latest?limit=0",
    ] {
        assert_eq!(wire.call("GET", target).refusal(), refused(400, "invalid"), "{target}");
    }
    for query in ["", "?num_ranks=0", "?num_ranks=1&steps_retained=0", "?steps_retained=1"] {
        let reply = post(&mut wire, &format!("/v1/cp/namespaces/other{query}"), b"", None);
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{query}");
    }
    for meta in ["\u{fc}", &"m".repeat(1025)] {
        let reply = post(&mut wire, &shard(0, 10), b"x", Some(meta));
        assert_eq!(reply.refusal(), refused(400, "invalid"), "{meta}");
    }
    wire.send(format!(
        "POST {} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        shard(0, 10)
    ));
    assert_eq!(wire.reply().refusal(), refused(411, "length_required"));
    // How much would have come is unknown: the connection ends.
    let mut wire = daemon.wire();
    let reply = post(&mut wire, "/v1/cp/checkpoints/other/0/10", b"x", None);
    assert_eq!(reply.refusal(), refused(404, "not_found"));
}

#[test]
fn the_buckets_of_checkpoints_are_no_clients() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    create(&mut wire, 1, 3);
    save(&mut wire, 1, 10, 1000);
    let bucket = "kvlease:checkpoint:job";
    assert!(daemon.stats().buckets.iter().any(|stats| stats.bucket == bucket), "it is counted");
    for (method, target) in [
        ("GET", format!("/v1/kv/{bucket}")),
        ("GET", format!("/v1/kv/{bucket}/k")),
        ("DELETE", "/v1/kv/kvlease%3acheckpoint:job/k".to_owned()),
        ("POST", format!("/v1/kv/{bucket}/k/leases")),
    ] {
        assert_eq!(wire.call(method, &target).refusal(), refused(400, "invalid"), "{target}");
    }
    assert_eq!(wire.put(&format!("/v1/kv/{bucket}/k"), b"x").refusal(), refused(400, "invalid"));
}

#[test]
fn a_corrupt_shard_takes_its_step_off_the_list() {
    let daemon = Daemon::with(|config| config.scrub_rate = None);
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    save(&mut wire, 2, 10, 5000);
    save(&mut wire, 2, 20, 5000);
    // The bytes of the newest shard of rank 0, wherever they are in the segment.
    let wanted = bytes(5000, 20);
    let mut segment = std::fs::read(daemon.segment()).unwrap();
    let at = segment.windows(5000).position(|window| window == wanted).unwrap();
    segment[at] ^= 1;
    let file = std::fs::File::options().write(true).open(daemon.segment()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &segment[at..=at], at as u64).unwrap();
    // The connection ends before the last piece.
    wire.send(format!("GET {} HTTP/1.1\r\nHost: d\r\n\r\n", shard(0, 20)));
    assert!(wire.rest().len() < 5000);
    let mut wire = daemon.wire();
    assert_eq!(latest(&mut wire), [10]);
    assert_eq!(wire.call("GET", &shard(0, 20)).status, 404);
    assert_eq!(wire.call("GET", &shard(1, 20)).status, 200);
}

#[test]
fn a_shard_larger_than_the_arena_goes_to_the_disk_of_the_tier() {
    let disk = Disk::new();
    let daemon = Daemon::with(|config| {
        disk.configure(config);
        config.checkpoint_disk_capacity = Some(ByteSize::mib(40));
    });
    let mut wire = daemon.wire();
    create(&mut wire, 2, 3);
    let sent = bytes((24 << 20) + 7, 1);
    let reply: StoredReply = post(&mut wire, &shard(0, 10), &sent, Some(META)).json();
    assert_eq!(reply.checksum, Digest::of(&sent).to_string());
    save(&mut wire, 1, 20, 5000);
    assert_eq!(post(&mut wire, &shard(1, 10), b"metadata", None).status, 200);
    assert_eq!(latest(&mut wire), [10]);
    let got = wire.call("GET", &shard(0, 10));
    assert_eq!((got.status, got.header("shard-meta")), (200, Some(META)));
    assert_eq!(got.header(CHECKSUM_HEADER), Some(reply.checksum.as_str()));
    assert!(got.body == sent);
    let head = wire.call("HEAD", &shard(0, 10));
    assert_eq!(head.header("content-length"), Some(sent.len().to_string().as_str()));
    let metric = |name: &str| daemon.metric(&format!("kvlease_checkpoint_{name}"));
    assert_eq!((metric("shards"), metric("disk_shards")), (3.0, 1.0));
    assert_eq!(metric("disk_capacity_bytes"), (40 << 20) as f64);
    // A second one has room on neither.
    let mut long = daemon.wire();
    long.send(format!(
        "POST {} HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n",
        shard(1, 20),
        sent.len()
    ));
    assert_eq!(long.reply().refusal(), refused(507, "no_space"));
    assert_eq!(wire.call("DELETE", NAMESPACE).status, 200);
    assert_eq!(metric("disk_taken_bytes"), 0.0);
}
