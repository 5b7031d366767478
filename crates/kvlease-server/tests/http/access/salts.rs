//! Every endpoint and frame that names objects, for every kind of key and every rule on cache salts.

use std::time::Duration;

use kvlease_api::{
    Endpoint,
    lane::{
        Answer, DoneStatus, FailureCode, KeysWriter, Kind, LeaseStatus, Mode, RequestedObject,
        ReserveWriter, StoreWriter, StoredObject,
    },
};
use kvlease_server::{Need, Right, config::TenantConfig, need_of_endpoint, need_of_frame};
use kvlease_types::{BucketName, ByteSize, Checksum};
use rustix::process::geteuid;

use super::{
    NOTHING, OWN, ROOT, add, ask, globs,
    matrix::{Expected, request_about},
    shown, store, tenant,
};
use crate::{
    daemon::Daemon,
    lane::client::{Client, keys},
    wire::refused,
};

/// Bucket in which keys of LMCache need a cache salt.
const SALTED: &str = "salted";

/// Kinds of keys.
const MINE: &str = "m@01000000@0@ab@team-red";
const THEIRS: &str = "m@01000000@0@ab@blue";
const UNSALTED: &str = "m@01000000@0@ab";
const IN_PROCESS: &str = "m@2@0@ab@half";
const PLAIN: &str = "plain";
const KEYS: [&str; 5] = [MINE, THEIRS, UNSALTED, IN_PROCESS, PLAIN];

/// Tenants with all rights on the buckets, of which only what they say about salts differs.
fn tenants() -> Vec<(&'static str, TenantConfig)> {
    let with = |name, change: fn(&mut TenantConfig)| {
        let all = || globs(&["*"]);
        let (read, write, remove) = (all(), all(), all());
        let mut config = TenantConfig { read, write, remove, shares_arena: true, ..tenant(name) };
        change(&mut config);
        (name, config)
    };
    vec![
        with("bound", |t| t.cache_salts = globs(&["team-*"])),
        with("needing", |t| t.cache_salt_required = true),
        with("both", |t| (t.cache_salts, t.cache_salt_required) = (globs(&["team-*"]), true)),
        with("free", |_| {}),
    ]
}

fn daemon(tenants: Vec<(&'static str, TenantConfig)>) -> Daemon {
    let daemon = Daemon::with(|config| {
        config.salted_buckets.insert(SALTED.to_owned());
        add(config, tenants);
    });
    refill(&daemon);
    daemon
}

/// Stores an object under each key that its bucket takes.
fn refill(daemon: &Daemon) {
    for bucket in [OWN, SALTED] {
        for key in KEYS.iter().filter(|key| bucket == OWN || !has_no_salt(key)) {
            let reply = ask(daemon, Some(ROOT), "PUT", &format!("/v1/kv/{bucket}/{key}"), b"bytes");
            assert!([200, 409].contains(&reply.status), "{bucket} {key}: {reply:?}");
        }
    }
}

fn has_no_salt(key: &str) -> bool {
    [UNSALTED, IN_PROCESS].contains(&key)
}

/// Outcome that a request is to have, by the documented rules.
fn expected(tenant: &TenantConfig, need: Need, bucket: &str, key: &str) -> Expected {
    let is_bound = !tenant.cache_salts.is_empty();
    match key {
        MINE => Expected::Answered,
        THEIRS if is_bound && need == Need::On(Right::Write) => Expected::Forbidden,
        THEIRS if is_bound => Expected::Hidden,
        PLAIN if is_bound => Expected::Forbidden,
        UNSALTED | IN_PROCESS if is_bound || tenant.cache_salt_required || bucket == SALTED => {
            Expected::Forbidden
        }
        _ => Expected::Answered,
    }
}

#[test]
fn every_endpoint_that_names_an_object_looks_at_the_salt_of_its_key() {
    let daemon = daemon(tenants());
    let endpoints = Endpoint::ALL.iter().filter(|endpoint| endpoint.path().contains("{key}"));
    let endpoints: Vec<_> = endpoints.copied().collect();
    assert!(endpoints.len() >= 8, "{endpoints:?}");
    for (name, config) in tenants() {
        for endpoint in endpoints.iter().copied() {
            for (bucket, key) in [OWN, SALTED].into_iter().flat_map(|b| KEYS.map(|key| (b, key))) {
                let what = format!("{name} {endpoint:?} {bucket} {key}");
                let (method, target, body) = request_about(endpoint, bucket, key);
                let reply = ask(&daemon, Some(name), method, &target, body);
                match expected(&config, need_of_endpoint(endpoint), bucket, key) {
                    Expected::Answered => {
                        assert!(![401, 403, 429].contains(&reply.status), "{what}: {reply:?}");
                        if endpoint == Endpoint::Get {
                            assert_eq!(reply.body, b"bytes", "{what}");
                        }
                    }
                    Expected::Hidden => {
                        let (_, target, _) = request_about(endpoint, NOTHING, key);
                        let nothing = ask(&daemon, Some(ROOT), method, &target, body);
                        assert_eq!(shown(&reply), shown(&nothing), "{what}");
                    }
                    Expected::Forbidden => {
                        assert_eq!(reply.status, 403, "{what}: {reply:?}");
                        if method != "HEAD" {
                            assert_eq!(reply.refusal(), refused(403, "forbidden"), "{what}");
                            assert!(reply.text().contains("cache_salt"), "{what}: {reply:?}");
                        }
                    }
                }
                if endpoint == Endpoint::Remove {
                    refill(&daemon);
                }
            }
        }
    }
}

#[test]
fn a_bucket_needs_salts_without_tenants_as_well() {
    let daemon = Daemon::with(|config| {
        config.salted_buckets.insert(SALTED.to_owned());
    });
    let put = |bucket: &str, key: &str| {
        ask(&daemon, None, "PUT", &format!("/v1/kv/{bucket}/{key}"), b"bytes")
    };
    for key in KEYS {
        assert_eq!(put("b", key).status, 200, "{key}");
        let reply = put(SALTED, key);
        if has_no_salt(key) {
            assert_eq!(reply.refusal(), refused(403, "forbidden"), "{key}");
            assert!(reply.text().contains("bucket=`salted`"), "{reply:?}");
        } else {
            assert_eq!(reply.status, 200, "{key}");
        }
    }
    let mut client = Client::writer(&daemon);
    let mut exists = |key: &str| {
        client.call(|out, request| write(Kind::Exists, SALTED, &[key], Mode::Each, out, request))
    };
    assert_eq!(exists(MINE).statuses(), [DoneStatus::Done]);
    assert_eq!(exists(UNSALTED).failure(), FailureCode::Forbidden);
    assert_eq!(exists(PLAIN).statuses(), [DoneStatus::Done], "the connection goes on");
    assert!(daemon.metrics().contains("reason=\"forbidden\"} 3\n"), "refusals are counted");
}

/// Writes a request of this kind about objects.
fn write(kind: Kind, bucket: &str, names: &[&str], mode: Mode, out: &mut Vec<u8>, request: u64) {
    let bucket = BucketName::new(bucket).unwrap();
    match kind {
        Kind::Acquire => {
            keys(KeysWriter::acquire(out, request, &bucket, mode, Duration::ZERO, None), names);
        }
        Kind::Exists => keys(KeysWriter::exists(out, request, &bucket, mode), names),
        Kind::Remove => keys(KeysWriter::remove(out, request, &bucket), names),
        Kind::Reserve => {
            let mut frame = ReserveWriter::begin(out, request, &bucket);
            for key in names {
                frame.push(RequestedObject { len: ByteSize::new(5), key }).unwrap();
            }
            frame.finish();
        }
        Kind::Store => {
            let mut frame = StoreWriter::begin(out, request, &bucket);
            let (checksum, len) = (Checksum::default(), ByteSize::new(5));
            for key in names {
                frame.push(StoredObject { write: 1, checksum, len, key }).unwrap();
            }
            frame.finish();
        }
        other => panic!("{other:?} names no object: see what its keys need"),
    }
}

/// Kinds of frames that name objects: those that need a right on a bucket.
fn kinds() -> Vec<(Kind, Need)> {
    let needs = Kind::ALL.iter().filter_map(|kind| Some((*kind, need_of_frame(*kind)?)));
    needs.filter(|(_, need)| matches!(need, Need::On(_) | Need::Lease)).collect()
}

/// Outcome of a frame about one object.
fn outcome(client: &mut Client, kind: Kind, bucket: &str, key: &str) -> Expected {
    let received =
        client.call(|out, request| write(kind, bucket, &[key], Mode::Each, out, request));
    match received.answer() {
        Answer::Error(failure) => {
            assert_eq!(failure.code, FailureCode::Forbidden, "{failure:?}");
            assert!(failure.text.contains("cache_salt"), "{failure:?}");
            Expected::Forbidden
        }
        Answer::Leases(_) => match received.leases().1[0] {
            Err(LeaseStatus::Absent) => Expected::Hidden,
            _ => Expected::Answered,
        },
        // Nothing is stored here: the reservation that a store names is none.
        Answer::Done(_) if kind == Kind::Store => Expected::Answered,
        Answer::Done(_) => match received.statuses()[0] {
            DoneStatus::Unknown => Expected::Hidden,
            _ => Expected::Answered,
        },
        _ => Expected::Answered,
    }
}

#[test]
fn every_frame_that_names_objects_looks_at_the_salts_of_their_keys() {
    assert_eq!(kinds().len(), 5, "{:?}", kinds());
    for (name, mut config) in tenants() {
        config.uids = vec![geteuid().as_raw()];
        let daemon = daemon(vec![(name, config.clone())]);
        for (kind, need) in kinds() {
            for (bucket, key) in [OWN, SALTED].into_iter().flat_map(|b| KEYS.map(|key| (b, key))) {
                let expected = expected(&config, need, bucket, key);
                let found = outcome(&mut Client::writer(&daemon), kind, bucket, key);
                assert_eq!(found, expected, "{name} {kind:?} {bucket} {key}");
                if kind != Kind::Remove {
                    continue;
                }
                if found != Expected::Answered && !has_no_salt(key) {
                    let target = format!("/v1/kv/{bucket}/{key}");
                    let there = ask(&daemon, Some(ROOT), "GET", &target, b"");
                    assert_eq!(there.status, 200, "{target}");
                }
                refill(&daemon);
            }
        }
    }
}

#[test]
fn keys_of_others_are_hidden_among_those_of_one_frame() {
    let (name, mut config) = tenants().swap_remove(0);
    config.uids = vec![geteuid().as_raw()];
    let daemon = daemon(vec![(name, config)]);
    store(&daemon, OWN, "m@01000000@0@cd@team-blue", b"bytes");
    let names = [MINE, THEIRS, "m@01000000@0@cd@team-blue"];
    let mut client = Client::writer(&daemon);
    let mut call = |kind, names: &[&str], mode| {
        client.call(|out, request| write(kind, OWN, names, mode, out, request))
    };
    use DoneStatus::{Done, Unknown};
    assert_eq!(call(Kind::Exists, &names, Mode::Each).statuses(), [Done, Unknown, Done]);
    assert_eq!(call(Kind::Exists, &names, Mode::Prefix).statuses(), [Done, Unknown]);
    let (_, leases) = call(Kind::Acquire, &names, Mode::Each).leases();
    let found: Vec<_> = leases.iter().map(|lease| lease.as_ref().err().copied()).collect();
    assert_eq!(found, [None, Some(LeaseStatus::Absent), None]);
    let (_, leases) = call(Kind::Acquire, &names, Mode::Prefix).leases();
    assert_eq!(leases.len(), 2);
    // One that has no salt is a mistake of the client, and nothing of its frame is done.
    for kind in [Kind::Acquire, Kind::Exists, Kind::Remove, Kind::Reserve, Kind::Store] {
        let refused = call(kind, &[MINE, UNSALTED], Mode::Each).failure();
        assert_eq!(refused, FailureCode::Forbidden, "{kind:?}");
    }
    // Of a frame that stores, one of another's salt is enough.
    for kind in [Kind::Reserve, Kind::Store] {
        assert_eq!(
            call(kind, &["m@01000000@0@ef@team-red", THEIRS], Mode::Each).failure(),
            FailureCode::Forbidden
        );
    }
    assert_eq!(call(Kind::Remove, &names, Mode::Each).statuses(), [Done, Unknown, Done]);
    let theirs = ask(&daemon, Some(ROOT), "GET", &format!("/v1/kv/{OWN}/{THEIRS}"), b"");
    assert_eq!(theirs.body, b"bytes", "it was not removed");
}

#[test]
fn who_has_some_salts_neither_maps_the_arena_nor_finds_what_all_have() {
    for shares in [false, true] {
        let all = || globs(&["*"]);
        let salts = TenantConfig {
            read: all(),
            write: all(),
            cache_salts: globs(&["team-*"]),
            uids: vec![geteuid().as_raw()],
            shares_arena: shares,
            ..tenant("bound")
        };
        let daemon = daemon(vec![("bound", salts)]);
        if !shares {
            let (code, text) = super::frames::turned_away_at(&daemon.socket());
            assert_eq!(code, FailureCode::NotAllowed);
            assert!(text.contains("shares_arena = true") && !text.contains("read ="), "{text}");
            let lease = format!("/v1/kv/{OWN}/{MINE}/leases");
            assert_eq!(ask(&daemon, Some("bound"), "POST", &lease, b"").status, 403);
            continue;
        }
        let mut client = Client::writer(&daemon);
        let received = client.call(kvlease_api::lane::write_index);
        assert_eq!(received.failure(), FailureCode::Forbidden, "the index has keys of all salts");
    }
}
