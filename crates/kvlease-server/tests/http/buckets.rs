//! Policies of buckets: set and shown over HTTP, in force at once, and after a restart by configuration.

use kvlease_api::{BucketsReply, ErrorBody, ErrorCode, PolicedBucket, PolicyReply};
use kvlease_harness::wire::Reply;
use kvlease_server::config::Config;
use kvlease_testing::bytes;
use kvlease_types::{BucketName, BucketPolicy};

use crate::{
    daemon::{CAPACITY, Daemon},
    tiers::{Disk, fill},
};

/// Length of an object: the arena has room for sixteen.
const LEN: usize = 1 << 20;

fn put(daemon: &Daemon, bucket: &str, key: &str) {
    let reply = daemon.wire().put(&format!("/v1/kv/{bucket}/{key}"), &bytes(LEN, 1));
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn set(daemon: &Daemon, bucket: &str, query: &str) {
    let target = format!("/v1/buckets/{bucket}/policy?{query}");
    let reply = daemon.wire().call("PUT", &target);
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn buckets(daemon: &Daemon) -> BucketsReply {
    daemon.wire().call("GET", "/v1/buckets").json()
}

fn bucket(daemon: &Daemon, name: &str) -> PolicedBucket {
    let mut buckets = buckets(daemon).buckets.into_iter();
    buckets.find(|bucket| bucket.bucket == name).unwrap()
}

/// Code and text of a refusal.
fn refused(reply: &Reply) -> (ErrorCode, String) {
    let error: ErrorBody = reply.json();
    assert_eq!(reply.status, error.code.status());
    (error.code, error.message)
}

fn has(daemon: &Daemon, bucket: &str, key: &str) -> bool {
    daemon.wire().call("HEAD", &format!("/v1/kv/{bucket}/{key}")).status == 200
}

fn with_policy(config: &mut Config, bucket: &str, keys: &[(&str, &str)]) {
    let mut policy = BucketPolicy::default();
    keys.iter().for_each(|(key, value)| policy.set(key, value).unwrap());
    config.buckets.insert(BucketName::new(bucket).unwrap(), policy);
}

#[test]
fn a_policy_is_set_shown_replaced_and_removed() {
    let daemon = Daemon::start();
    let mut wire = daemon.wire();
    let policy = "/v1/buckets/chat/policy";
    let (code, message) = refused(&wire.call("GET", policy));
    assert_eq!((code, message.contains("bucket=`chat`")), (ErrorCode::NotFound, true));
    assert_eq!(buckets(&daemon).buckets, []);
    put(&daemon, "chat", "a");
    set(&daemon, "chat", "priority=5&weight=300&ttl_s=90&pinned=sys%2F&pinned=x");
    let expected = PolicyReply {
        priority: 5,
        weight: 300,
        ttl_s: Some(90.0),
        pinned: vec!["sys/".to_owned(), "x".to_owned()],
    };
    assert_eq!(wire.call("GET", policy).json::<PolicyReply>(), expected);
    let shown = bucket(&daemon, "chat");
    assert_eq!((shown.policy, shown.usage.objects), (expected, 1));
    assert_eq!(shown.usage.taken, LEN as u64);
    set(&daemon, "chat", "priority=-1");
    let shown = bucket(&daemon, "chat").policy;
    assert_eq!((shown.priority, shown.weight, shown.ttl_s), (-1, 100, None));
    assert_eq!(daemon.metric("kvlease_bucket_objects{bucket=\"chat\"}"), 1.0);
    assert_eq!(wire.call("DELETE", policy).status, 200);
    assert_eq!(wire.call("DELETE", policy).status, 404);
    assert_eq!(buckets(&daemon).others.objects, 1, "its objects stay");
    assert!(!daemon.metrics().contains("kvlease_bucket_"));
}

#[test]
fn what_is_no_policy_is_refused_with_its_key_value_and_remedy_and_changes_nothing() {
    let daemon = Daemon::start();
    set(&daemon, "b", "weight=7");
    for (query, parts) in [
        ("priority=high", ["priority=`high`", "from -1000 to 1000"]),
        ("weight=0", ["weight=`0`", "from 1 to 10000"]),
        ("ttl_s=0", ["ttl_s=`0`", "from 0.001"]),
        ("pinned=", ["pinned=``", "1 to 100 bytes"]),
        ("prio=1", ["prio=`1`", "priority, weight, ttl_s, pinned"]),
        ("pinned=%zz", ["pinned", "%"]),
    ] {
        let reply = daemon.wire().call("PUT", &format!("/v1/buckets/b/policy?{query}"));
        let (code, message) = refused(&reply);
        assert_eq!(code, ErrorCode::Invalid, "{query}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    assert_eq!(bucket(&daemon, "b").policy.weight, 7);
}

#[test]
fn a_scan_of_another_bucket_leaves_what_has_weight_priority_or_a_pin() {
    let daemon = Daemon::with(|config| with_policy(config, "chat", &[("weight", "300")]));
    // 9 of 16 MiB, and 3/4 of the room are its part.
    (0..9).for_each(|n| put(&daemon, "chat", &n.to_string()));
    (0..40).for_each(|n| put(&daemon, "scan", &format!("a{n}")));
    assert!((0..9).all(|n| has(&daemon, "chat", &n.to_string())));
    assert_eq!(bucket(&daemon, "chat").usage.evictions, 0);
    // A higher priority of the scan takes all, but for what is pinned: a quarter of the arena at most.
    set(&daemon, "chat", "weight=300&pinned=0&pinned=1&pinned=2");
    set(&daemon, "scan", "priority=1");
    (0..40).for_each(|n| put(&daemon, "scan", &format!("b{n}")));
    let left: Vec<_> = (0..9).filter(|n| has(&daemon, "chat", &n.to_string())).collect();
    assert_eq!(left, [0, 1, 2]);
    let usage = bucket(&daemon, "chat").usage;
    assert_eq!((usage.evictions, usage.pinned_objects, usage.unpinned), (6, 3, 0));
    assert_eq!(usage.pinned_taken, 3 * LEN as u64);
    // The fifth object of this prefix finds no room to be pinned.
    set(&daemon, "chat", "pinned=p");
    (0..5).for_each(|n| put(&daemon, "chat", &format!("p{n}")));
    let usage = bucket(&daemon, "chat").usage;
    assert_eq!((usage.pinned_objects, usage.unpinned), (4, 1));
    assert_eq!(buckets(&daemon).pinned_max, CAPACITY.bytes() / 4);
}

#[test]
fn an_expired_object_is_a_miss_and_its_room_is_free_without_a_request() {
    let daemon = Daemon::start();
    put(&daemon, "b", "kept");
    put(&daemon, "short", "k");
    assert!(has(&daemon, "short", "k"));
    set(&daemon, "short", "ttl_s=0.001");
    daemon.eventually("the end of its time", || !has(&daemon, "short", "k"));
    daemon.until("its removal", |stats| stats.objects == 1);
    let reply = daemon.wire().call("POST", "/v1/kv/short/k/leases");
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(has(&daemon, "b", "kept"));
    assert_eq!(bucket(&daemon, "short").usage.expirations, 1);
    assert_eq!(daemon.metric("kvlease_objects_expired_total"), 1.0);
}

#[test]
fn objects_with_a_time_to_live_are_in_no_tier() {
    let disk = Disk::new();
    let daemon = Daemon::with(|config| {
        disk.configure(config);
        with_policy(config, "b", &[("ttl_s", "3600")]);
    });
    (0..40).for_each(|n| daemon.put(&format!("k{n}"), &bytes(LEN, n)));
    assert!(bucket(&daemon, "b").usage.evictions >= 24);
    assert_eq!(daemon.metric("kvlease_tier_stores_total{tier=\"nvme\"}"), 0.0);
    // What a tier had of another time is not found either, until the bucket keeps its objects again.
    set(&daemon, "b", "");
    fill(&daemon, 40..80);
    assert!((40..80).all(|n| has(&daemon, "b", &format!("k{n}"))));
    set(&daemon, "b", "ttl_s=3600");
    let there = (40..80).filter(|n| has(&daemon, "b", &format!("k{n}"))).count();
    assert_eq!(there as u64, daemon.stats().objects);
    let absent = (40..80).find(|n| !has(&daemon, "b", &format!("k{n}"))).unwrap();
    let reply = daemon.wire().call("POST", &format!("/v1/kv/b/k{absent}/leases"));
    assert_eq!(reply.status, 404, "{reply:?}");
    set(&daemon, "b", "");
    assert!(has(&daemon, "b", &format!("k{absent}")));
}

#[test]
fn as_many_buckets_have_a_policy_as_there_may_be() {
    let daemon = Daemon::start();
    for number in 0..kvlease_types::BUCKET_POLICIES_MAX {
        set(&daemon, &number.to_string(), "pinned=%01%01&priority=3");
    }
    let reply = daemon.wire().call("PUT", "/v1/buckets/more/policy");
    let (code, message) = refused(&reply);
    assert_eq!(code, ErrorCode::Unavailable);
    assert!(message.contains("64") && message.contains("bucket=`more`"), "{message}");
    assert_eq!(buckets(&daemon).buckets.len(), 64);
    assert_eq!(daemon.wire().call("DELETE", "/v1/buckets/7/policy").status, 200);
    set(&daemon, "more", "");
}
