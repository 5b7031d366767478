//! Quotas over HTTP: what is evicted for whom, and what is refused with which number.

use kvlease_api::LeaseReply;
use kvlease_harness::wire::Wire;
use kvlease_server::config::{Config, TenantConfig};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, ByteSize, Quota};

use super::{FOREIGN, OWN, ROOT, add, ask, globs, tenant, token};
use crate::{
    daemon::Daemon,
    wire::{Reply, refused},
};

/// Size of an object.
const LEN: usize = 256 << 10;

/// Requests after which one that is over its quota was refused, also where the machine stands still between two.
const TRIES: usize = 200;

/// A tenant with all rights on the bucket of its name, and this quota.
fn with_quota(name: &str, quota: Quota) -> TenantConfig {
    let own = || globs(&[name]);
    let (read, write, remove, list) = (own(), own(), own(), own());
    TenantConfig { read, write, remove, list, quota, shares_arena: true, ..tenant(name) }
}

/// A daemon with two tenants, each with a bucket of its name.
fn daemon(own: Quota, foreign: Quota, change: impl FnOnce(&mut Config)) -> Daemon {
    Daemon::with(|config| {
        add(config, [(OWN, with_quota(OWN, own)), (FOREIGN, with_quota(FOREIGN, foreign))]);
        change(config);
    })
}

fn quota(change: impl FnOnce(&mut Quota)) -> Quota {
    let mut quota = Quota::default();
    change(&mut quota);
    quota
}

fn put(daemon: &Daemon, name: &str, key: &str, len: usize) -> Reply {
    ask(daemon, Some(name), "PUT", &format!("/v1/kv/{name}/{key}"), &bytes(len, 1))
}

fn is_there(daemon: &Daemon, name: &str, key: &str) -> bool {
    ask(daemon, Some(ROOT), "HEAD", &format!("/v1/kv/{name}/{key}"), b"").status == 200
}

fn metric(daemon: &Daemon, name: &str, labels: &str) -> f64 {
    let text = ask(daemon, Some(ROOT), "GET", "/metrics", b"").text();
    let series = format!("{name}{{{labels}}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

/// Refuses with 507 and this text.
fn no_space(reply: &Reply, part: &str) {
    assert_eq!(reply.refusal(), refused(507, "no_space"));
    assert!(reply.text().contains(part), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

fn too_many(reply: &Reply, part: &str) {
    assert_eq!(reply.refusal(), refused(429, "too_many_requests"));
    assert!(reply.text().contains(part), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[test]
fn a_tenant_at_its_bytes_makes_room_among_its_own() {
    let own = quota(|quota| quota.bytes_max = Some(ByteSize::mib(1)));
    let daemon = daemon(own, Quota::default(), |_| {});
    for n in 0..20 {
        assert_eq!(put(&daemon, FOREIGN, &format!("k{n}"), LEN).status, 200);
    }
    for n in 0..50 {
        assert_eq!(put(&daemon, OWN, &format!("k{n}"), LEN).status, 200);
        let there = (0..=n).filter(|n| is_there(&daemon, OWN, &format!("k{n}"))).count();
        assert_eq!(there, 4.min(n + 1), "of 256 KiB, 1 MiB has four");
        assert!(is_there(&daemon, OWN, &format!("k{n}")), "what was stored now is there");
    }
    let labels = "of=\"tenant\",name=\"b\"";
    assert_eq!(metric(&daemon, "kvlease_quota_used_bytes", labels), (1 << 20) as f64);
    assert_eq!(metric(&daemon, "kvlease_quota_max_bytes", labels), (1 << 20) as f64);
    assert_eq!(metric(&daemon, "kvlease_quota_objects", labels), 4.0);
    let foreign = (0..20).filter(|n| is_there(&daemon, FOREIGN, &format!("k{n}"))).count();
    assert_eq!(foreign, 20, "the others' are as they were");
}

#[test]
fn what_does_not_fit_within_the_bytes_evicts_nothing_and_names_the_number() {
    let own = quota(|quota| quota.bytes_max = Some(ByteSize::mib(1)));
    let daemon = daemon(own, Quota::default(), |_| {});
    (0..4).for_each(|n| assert_eq!(put(&daemon, OWN, &format!("k{n}"), LEN).status, 200));
    no_space(&put(&daemon, OWN, "large", 2 << 20), "bytes_max of the tenant, bytes_max=`1MiB`");
    let leases: Vec<LeaseReply> = (0..4)
        .map(|n| {
            let target = format!("/v1/kv/{OWN}/k{n}/leases?ttl_s=30");
            ask(&daemon, Some(OWN), "POST", &target, b"").json()
        })
        .collect();
    no_space(&put(&daemon, OWN, "new", LEN), "leased, pinned or being written");
    assert!((0..4).all(|n| is_there(&daemon, OWN, &format!("k{n}"))), "nothing has left");
    let labels = "of=\"tenant\",name=\"b\"";
    assert_eq!(metric(&daemon, "kvlease_quota_refused_space_total", labels), 2.0);
    // The connection of a client whose put was refused goes on.
    let mut wire = daemon.wire();
    for _ in 0..2 {
        let head = format!("Authorization: Bearer {}\r\nContent-Length: {LEN}", token(OWN));
        wire.send(format!("PUT /v1/kv/{OWN}/new HTTP/1.1\r\nHost: d\r\n{head}\r\n\r\n"));
        wire.send(bytes(LEN, 1));
        assert_eq!(wire.reply().status, 507);
    }
    ask(&daemon, Some(OWN), "POST", &format!("/v1/leases/{}/release", leases[2].id), b"");
    assert_eq!(put(&daemon, OWN, "new", LEN).status, 200);
    assert!(!is_there(&daemon, OWN, "k2") && is_there(&daemon, OWN, "k1"));
}

#[test]
fn a_bucket_has_as_many_objects_as_it_may_of_all_writers() {
    let daemon = Daemon::with(|config| {
        let quota = quota(|quota| quota.objects_max = Some(3));
        config.bucket_quotas.insert(BucketName::new("b").unwrap(), quota);
    });
    for n in 0..10 {
        daemon.put(&format!("k{n}"), b"x");
        assert_eq!(daemon.stats().objects, 3.min(n + 1));
    }
    let lease = ["k9", "k8", "k7"].map(|key| daemon.lease(key));
    let reply = daemon.wire().put("/v1/kv/b/new", b"x");
    no_space(&reply, "objects_max of the bucket, objects_max=`3`");
    daemon.release(&lease[0]);
    daemon.put("new", b"x");
    assert_eq!((daemon.status_of("k9"), daemon.status_of("k8")), (404, 200));
    assert_eq!(daemon.wire().put("/v1/kv/other/k", b"x").status, 200);
}

#[test]
fn what_is_guaranteed_stays_whatever_others_store() {
    // 8 of 16 MiB.
    let own = quota(|quota| quota.bytes_guaranteed = Some(ByteSize::mib(8)));
    let daemon = daemon(own, Quota::default(), |_| {});
    (0..32).for_each(|n| assert_eq!(put(&daemon, OWN, &format!("k{n}"), LEN).status, 200));
    (0..200).for_each(|n| assert_eq!(put(&daemon, FOREIGN, &format!("k{n}"), LEN).status, 200));
    let there =
        |name, count| (0..count).filter(|n| is_there(&daemon, name, &format!("k{n}"))).count();
    assert_eq!((there(OWN, 32), there(FOREIGN, 200)), (32, 32), "half of the arena each");
    // Beyond what is guaranteed it uses what is free, and gives it back to those who need it.
    (32..64).for_each(|n| assert_eq!(put(&daemon, OWN, &format!("k{n}"), LEN).status, 200));
    let burst = there(OWN, 64);
    assert!(burst >= 32 && there(FOREIGN, 200) + burst == 64, "{burst}");
    no_space(&put(&daemon, FOREIGN, "large", 9 << 20), "only leased");
    assert!(there(OWN, 64) >= 32);
}

#[test]
fn leases_beyond_a_quota_are_refused_with_the_number() {
    let own = quota(|quota| quota.leases_max = Some(2));
    let daemon = daemon(own, Quota::default(), |config| {
        let quota = quota(|quota| quota.leases_max = Some(1));
        config.bucket_quotas.insert(BucketName::new(FOREIGN).unwrap(), quota);
    });
    let lease = |name: &str, key: &str| {
        ask(&daemon, Some(name), "POST", &format!("/v1/kv/{name}/{key}/leases?ttl_s=30"), b"")
    };
    for name in [OWN, FOREIGN] {
        (0..3).for_each(|n| assert_eq!(put(&daemon, name, &format!("k{n}"), 10).status, 200));
    }
    let first: LeaseReply = lease(OWN, "k0").json();
    assert_eq!(lease(OWN, "k1").status, 200);
    too_many(&lease(OWN, "k2"), "tenant=`b` leases_max=`2`");
    assert_eq!(lease(OWN, "absent").status, 404, "what is not there is a miss as ever");
    assert_eq!(lease(FOREIGN, "k0").status, 200);
    too_many(&lease(FOREIGN, "k1"), "bucket=`foreign` leases_max=`1`");
    let labels = "of=\"tenant\",name=\"b\"";
    assert_eq!(metric(&daemon, "kvlease_quota_leases", labels), 2.0);
    assert_eq!(metric(&daemon, "kvlease_quota_refused_leases_total", labels), 1.0);
    ask(&daemon, Some(OWN), "POST", &format!("/v1/leases/{}/release", first.id), b"");
    assert_eq!(lease(OWN, "k2").status, 200);
    assert_eq!(put(&daemon, OWN, "new", 10).status, 200, "a put needs no lease");
}

#[test]
fn requests_beyond_a_rate_are_refused_and_what_gives_back_is_not() {
    let own = quota(|quota| quota.requests_per_s = Some(2));
    let daemon = daemon(own, Quota::default(), |_| {});
    let lease: LeaseReply = {
        let reply = ask(&daemon, Some(ROOT), "PUT", &format!("/v1/kv/{OWN}/k"), b"x");
        assert_eq!(reply.status, 200);
        ask(&daemon, Some(OWN), "POST", &format!("/v1/kv/{OWN}/k/leases?ttl_s=30"), b"").json()
    };
    let get = || ask(&daemon, Some(OWN), "GET", &format!("/v1/kv/{OWN}/k"), b"");
    let reply = (0..TRIES).map(|_| get()).find(|reply| reply.status != 200).unwrap();
    too_many(&reply, "tenant=`b` requests_per_s=`2`");
    let mut wire = daemon.wire();
    let refused = (0..TRIES).any(|_| {
        let head = format!("Authorization: Bearer {}\r\nContent-Length: {LEN}", token(OWN));
        wire.send(format!("PUT /v1/kv/{OWN}/new HTTP/1.1\r\nHost: d\r\n{head}\r\n\r\n"));
        wire.send(bytes(LEN, 1));
        wire.reply().status == 429
    });
    assert!(refused, "the connection goes on until it is refused, and after it");
    let release = format!("/v1/leases/{}/release", lease.id);
    assert_eq!(ask(&daemon, Some(OWN), "POST", &release, b"").status, 200);
    assert_eq!(ask(&daemon, Some(FOREIGN), "GET", "/v1/kv/foreign/k", b"").status, 404);
    let labels = "of=\"tenant\",name=\"b\"";
    assert!(metric(&daemon, "kvlease_quota_refused_requests_total", labels) >= 2.0);
    assert_eq!(metric(&daemon, "kvlease_quota_requests_per_second_max", labels), 2.0);
}

#[test]
fn a_rate_of_a_bucket_needs_no_tenants() {
    let daemon = Daemon::with(|config| {
        let quota = quota(|quota| quota.requests_per_s = Some(1));
        config.bucket_quotas.insert(BucketName::new("slow").unwrap(), quota);
    });
    let get = || daemon.wire().call("GET", "/v1/kv/slow/k");
    let reply = (0..TRIES).map(|_| get()).find(|reply| reply.status != 404).unwrap();
    too_many(&reply, "bucket=`slow` requests_per_s=`1`");
    assert!((0..20).all(|_| daemon.status_of("k") == 404), "other buckets have no limit");
}

#[test]
fn connections_beyond_a_quota_are_refused_until_one_ends() {
    let daemon = Daemon::with(|config| {
        let limited =
            TenantConfig { connections_max: Some(2), ..with_quota(OWN, Quota::default()) };
        add(config, [(OWN, limited)]);
    });
    let call = |wire: &mut Wire, name: &str| {
        let head = format!("Host: d\r\nAuthorization: Bearer {}", token(name));
        wire.send(format!("GET /v1/kv/{OWN}/k HTTP/1.1\r\n{head}\r\n\r\n"));
        wire.reply()
    };
    let mut open = [daemon.wire(), daemon.wire()];
    for _ in 0..2 {
        assert!(open.iter_mut().all(|wire| call(wire, OWN).status == 404));
    }
    let mut third = daemon.wire();
    let reply = call(&mut third, OWN);
    too_many(&reply, "tenant=`b` connections_max=`2`");
    assert_eq!(reply.header("connection"), Some("close"));
    let mut third = daemon.wire();
    assert_eq!(call(&mut third, ROOT).status, 404, "the others have theirs");
    let labels = "of=\"tenant\",name=\"b\"";
    assert_eq!(metric(&daemon, "kvlease_quota_connections", labels), 2.0);
    assert_eq!(metric(&daemon, "kvlease_quota_refused_connections_total", labels), 1.0);
    // A connection that another tenant uses from now on is no more this one's.
    assert_eq!(call(&mut open[0], ROOT).status, 404);
    assert_eq!(call(&mut third, OWN).status, 404);
    drop((open, third));
    daemon.eventually("a place", || call(&mut daemon.wire(), OWN).status == 404);
}
