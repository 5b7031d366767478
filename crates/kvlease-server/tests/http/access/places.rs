//! Places of objects, as answers and their times tell them: nothing of a foreign bucket, and of one with
//! `answer_time_ms` only whether an object is there.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, FailureCode, KeysWriter, LeaseStatus, Mode};
use kvlease_harness::until;
use kvlease_server::config::{Config, TenantConfig};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, Quota};
use rustix::process::geteuid;

use super::{FOREIGN, NOTHING, OWN, ROOT, add, ask, globs, shown, store, tenant};
use crate::{
    daemon::{Daemon, WAIT_MAX},
    lane::client::{Client, keys},
    tiers::Disk,
    wire::refused,
};

/// A tenant with all rights on the bucket of its name.
fn with_bucket(name: &str) -> TenantConfig {
    let own = || globs(&[name]);
    let (read, write, remove, list) = (own(), own(), own(), own());
    TenantConfig { read, write, remove, list, shares_arena: true, ..tenant(name) }
}

fn metrics(daemon: &Daemon) -> String {
    ask(daemon, Some(ROOT), "GET", "/metrics", b"").text()
}

fn metric(daemon: &Daemon, series: &str) -> u64 {
    let text = metrics(daemon);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

/// Answers that were given in the time of their bucket.
fn delayed(daemon: &Daemon) -> u64 {
    metric(daemon, "kvlease_answers_delayed_total")
}

/// Gives the tenant's own bucket a time of answers, the shortest there is.
fn timed(config: &mut Config) {
    let bucket = BucketName::new(OWN).unwrap();
    config.answer_times.insert(bucket, Duration::from_millis(1));
}

#[test]
fn hits_and_misses_of_a_bucket_with_a_time_of_answers_have_that_time() {
    let daemon = Daemon::with(|config| {
        timed(config);
        add(config, [(OWN, with_bucket(OWN))]);
    });
    store(&daemon, OWN, "k", b"bytes");
    store(&daemon, FOREIGN, "k", b"bytes");
    let call = |name, method, target: &str| {
        let before = delayed(&daemon);
        let reply = ask(&daemon, Some(name), method, target, b"");
        (reply, delayed(&daemon) - before)
    };
    for (method, rest, status) in [
        ("GET", "k", 200),
        ("GET", "absent", 404),
        ("HEAD", "k", 200),
        ("HEAD", "absent", 404),
        ("POST", "k/leases", 200),
        ("POST", "absent/leases", 404),
        ("DELETE", "absent", 404),
    ] {
        let (reply, counted) = call(OWN, method, &format!("/v1/kv/{OWN}/{rest}"));
        assert_eq!((reply.status, counted), (status, 1), "{method} {rest}");
        for bucket in [FOREIGN, NOTHING] {
            let (_, counted) = call(OWN, method, &format!("/v1/kv/{bucket}/{rest}"));
            assert_eq!(counted, 0, "{method} {bucket}");
        }
    }
    let (reply, counted) = call(OWN, "PUT", &format!("/v1/kv/{OWN}/new"));
    assert_eq!((reply.status, counted), (200, 0));
    // What tells the place by itself is for operators, and a report tells nothing.
    for rest in ["k/locations", "k/tiers", "absent/locations", "absent/tiers"] {
        let target = format!("/v1/kv/{OWN}/{rest}");
        let (reply, _) = call(OWN, "GET", &target);
        assert_eq!(reply.refusal(), refused(403, "forbidden"), "{rest}");
        assert!(reply.text().contains("answer_time_ms"), "{reply:?}");
        let expected = if rest.starts_with('k') { 200 } else { 404 };
        assert_eq!(call(ROOT, "GET", &target).0.status, expected, "{rest}");
        let other = target.replace(OWN, FOREIGN);
        assert_eq!(call(ROOT, "GET", &other).1, 0, "another bucket has no such time");
    }
    let report = |key: &str| shown(&call(OWN, "POST", &format!("/v1/kv/{OWN}/{key}/reports")).0);
    assert_eq!(report("k"), report("absent"));
}

#[test]
fn frames_about_a_bucket_with_a_time_of_answers_have_that_time() {
    let all = || globs(&["*"]);
    let uids = vec![geteuid().as_raw()];
    let (read, write, remove) = (all(), all(), all());
    let process = TenantConfig { uids, read, write, remove, ..TenantConfig::default() };
    let daemon = Daemon::with(|config| {
        timed(config);
        add(config, [("t", process)]);
    });
    store(&daemon, OWN, "k", b"bytes");
    store(&daemon, FOREIGN, "k", b"bytes");
    let mut client = Client::reader(&daemon);
    assert_eq!(
        client.exists(&["k", "absent"], Mode::Each),
        [DoneStatus::Done, DoneStatus::Unknown]
    );
    assert_eq!(client.exists(&["absent", "k"], Mode::Prefix), [DoneStatus::Unknown]);
    assert_eq!(delayed(&daemon), 2, "an answer is one, however many keys it has");
    let leases = client.acquire(&["k", "absent"]);
    assert!(leases[0].is_ok() && leases[1] == Err(LeaseStatus::Absent));
    assert_eq!(delayed(&daemon), 3);
    client.release(&[leases[0].as_ref().unwrap().0.sequence]);
    let foreign = BucketName::new(FOREIGN).unwrap();
    let found = client.call(|out, request| {
        keys(KeysWriter::exists(out, request, &foreign, Mode::Each), &["k"]);
    });
    assert_eq!(found.statuses(), [DoneStatus::Done]);
    assert_eq!(delayed(&daemon), 3);
    assert_eq!(client.remove(&["k", "absent"]), [DoneStatus::Done, DoneStatus::Unknown]);
    assert_eq!(delayed(&daemon), 4);
}

#[test]
fn requests_about_a_foreign_bucket_take_nothing_of_its_quota() {
    let daemon = Daemon::with(|config| {
        let quota = Quota { requests_per_s: Some(1), ..Quota::default() };
        config.bucket_quotas.insert(BucketName::new(FOREIGN).unwrap(), quota);
        add(config, [(OWN, with_bucket(OWN)), (FOREIGN, with_bucket(FOREIGN))]);
    });
    let get =
        |name, bucket: &str| ask(&daemon, Some(name), "GET", &format!("/v1/kv/{bucket}/k"), b"");
    let nothing = shown(&get(OWN, NOTHING));
    for _ in 0..200 {
        assert_eq!(shown(&get(OWN, FOREIGN)), nothing);
    }
    assert_eq!(get(FOREIGN, FOREIGN).status, 404, "the first that counts for the bucket");
}

#[test]
fn frames_about_a_foreign_bucket_count_for_their_tenant() {
    let own = || globs(&[OWN]);
    let quota = Quota { requests_per_s: Some(1), ..Quota::default() };
    let process = TenantConfig {
        uids: vec![geteuid().as_raw()],
        read: own(),
        shares_arena: true,
        quota,
        ..TenantConfig::default()
    };
    let daemon = Daemon::with(|config| add(config, [("t", process)]));
    store(&daemon, FOREIGN, "k", b"bytes");
    let mut client = Client::reader(&daemon);
    let foreign = BucketName::new(FOREIGN).unwrap();
    let mut ask = |listed: &[&str]| {
        client.call(|out, request| {
            keys(KeysWriter::exists(out, request, &foreign, Mode::Each), listed);
        })
    };
    // A frame is let in as a whole: behind this one none is for a hundred seconds.
    assert_eq!(ask(&["k"; 100]).statuses(), [DoneStatus::Unknown; 100]);
    assert_eq!(ask(&["k"]).failure(), FailureCode::TooManyRequests);
}

/// Objects that are stored: the arena has room for sixteen.
const OBJECTS: usize = 24;

#[test]
fn no_tier_is_asked_for_an_object_of_a_foreign_bucket() {
    let disk = Disk::new();
    let daemon = Daemon::with(|config| {
        disk.configure(config);
        config.nvme_write_through = FOREIGN.parse().unwrap();
        add(config, [(OWN, with_bucket(OWN)), (FOREIGN, with_bucket(FOREIGN))]);
    });
    for number in 0..OBJECTS {
        store(&daemon, FOREIGN, &format!("k{number}"), &bytes(1 << 20, number as u64));
        let copied = (number + 1) as u64;
        until(WAIT_MAX, || {
            let found = metric(&daemon, "kvlease_tier_objects{tier=\"nvme\"}");
            (found == copied).then_some(())
        })
        .expect("the copy comes");
    }
    // Nothing goes on of what the last object made leave.
    let of_tier = |name: &str| metric(&daemon, &format!("kvlease_tier_{name}{{tier=\"nvme\"}}"));
    let copied = until(WAIT_MAX, || {
        let is_quiet = ["queued", "copying"].map(of_tier) == [0, 0];
        (is_quiet && of_tier("stores_total") == OBJECTS as u64).then_some(())
    });
    assert!(copied.is_some(), "{}", metrics(&daemon));
    let figures = || -> Vec<String> {
        let text = metrics(&daemon);
        let of_tier = text.lines().filter(|line| line.starts_with("kvlease_tier_"));
        of_tier.filter(|line| !line.contains("rate")).map(str::to_owned).collect()
    };
    let before = figures();
    assert!(before.iter().any(|line| line.starts_with("kvlease_tier_hits_total")), "{before:?}");
    for number in 0..OBJECTS {
        for (method, rest) in
            [("GET", ""), ("HEAD", ""), ("POST", "/leases"), ("DELETE", ""), ("GET", "/tiers")]
        {
            let call = |bucket: &str| {
                let target = format!("/v1/kv/{bucket}/k{number}{rest}");
                shown(&ask(&daemon, Some(OWN), method, &target, b""))
            };
            assert_eq!(call(FOREIGN), call(NOTHING), "{method} {number}{rest}");
        }
    }
    assert_eq!(figures(), before);
    // The owner's own questions bring back what only the tier has.
    for number in 0..OBJECTS {
        let got = ask(&daemon, Some(FOREIGN), "GET", &format!("/v1/kv/{FOREIGN}/k{number}"), b"");
        assert!(got.status == 200 && got.body == bytes(1 << 20, number as u64), "{number}");
    }
    assert!(metric(&daemon, "kvlease_tier_hits_total{tier=\"nvme\"}") > 0);
}
