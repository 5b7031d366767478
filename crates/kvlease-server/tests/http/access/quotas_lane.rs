//! Quotas over the fast lane.

use kvlease_api::lane::{
    Answer, FailureCode, Hello, KeysWriter, LeaseStatus, Mode, ReserveStatus, VERSION,
};
use kvlease_server::config::TenantConfig;
use kvlease_types::{BucketName, ByteSize, Quota};
use rustix::process::geteuid;

use super::{OWN, add, globs, store};
use crate::{
    daemon::Daemon,
    lane::client::{Client, Raw, checksum, keys},
};

/// Requests after which one that is over its quota was refused, also where the machine stands still between two.
const TRIES: usize = 200;

/// A daemon whose tenant `t`, with this quota, is this process.
fn daemon(change: impl FnOnce(&mut TenantConfig)) -> Daemon {
    let all = || globs(&["*"]);
    let (read, write, remove) = (all(), all(), all());
    let uids = vec![geteuid().as_raw()];
    let mut tenant = TenantConfig { uids, read, write, remove, ..TenantConfig::default() };
    change(&mut tenant);
    Daemon::with(|config| add(config, [("t", tenant)]))
}

#[test]
fn space_and_objects_beyond_a_quota_are_not_reserved() {
    // The bucket counts for who names it alone.
    let daemon = daemon(|t| {
        t.write = globs(&[OWN, "*"]);
        t.quota =
            Quota { bytes_max: Some(ByteSize::kib(64)), objects_max: Some(10), ..Quota::default() };
    });
    let mut client = Client::writer(&daemon);
    assert_eq!(client.reserve(&[("large", 65 << 10)]), [Err(ReserveStatus::NoSpace)]);
    let sum = checksum(&[]);
    for n in 0..30 {
        let (name, _) = client.reserve_one(&format!("k{n}"), 0);
        client.commit(&[(name, sum)]);
    }
    let found = client.exists(
        &(0..30)
            .map(|n| format!("k{n}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        Mode::Each,
    );
    let there = found.iter().filter(|status| **status == kvlease_api::lane::DoneStatus::Done);
    assert_eq!(there.count(), 10, "its own made room");
    // Reservations count, and nothing of them can be evicted.
    let requested: Vec<_> = (0..11).map(|n| format!("open{n}")).collect();
    let requested: Vec<_> = requested.iter().map(|key| (key.as_str(), 0)).collect();
    let reserved = client.reserve(&requested);
    assert!(reserved[..10].iter().all(Result::is_ok));
    assert_eq!(reserved[10], Err(ReserveStatus::NoSpace));
}

#[test]
fn leases_beyond_a_quota_are_not_granted() {
    let daemon = daemon(|t| t.quota.leases_max = Some(2));
    (0..3).for_each(|n| store(&daemon, OWN, &format!("k{n}"), b"x"));
    let mut client = Client::reader(&daemon);
    let leases = client.acquire(&["k0", "k1", "k2"]);
    assert!(leases[0].is_ok() && leases[1].is_ok());
    assert_eq!(leases[2], Err(LeaseStatus::TooManyLeases));
    // Another connection of the tenant has no quota of its own.
    let mut other = Client::reader(&daemon);
    assert_eq!(other.acquire(&["k0"]), [Err(LeaseStatus::TooManyLeases)]);
    client.release(&[leases[0].as_ref().unwrap().0.sequence]);
    assert!(other.acquire(&["k0"])[0].is_ok());
}

#[test]
fn frames_beyond_a_rate_are_refused_and_the_connection_goes_on() {
    let daemon = daemon(|t| t.quota.requests_per_s = Some(1));
    store(&daemon, OWN, "k", b"x");
    let mut client = Client::reader(&daemon);
    let bucket = BucketName::new(OWN).unwrap();
    let mut call = |listed: &[&str]| {
        client.call(|out, request| {
            keys(KeysWriter::exists(out, request, &bucket, Mode::Each), listed);
        })
    };
    // A frame is let in as a whole: behind this one none is for a hundred seconds.
    let many = ["k"; 100];
    let first = (0..TRIES).map(|_| call(&many)).find(|r| matches!(r.answer(), Answer::Done(_)));
    assert!(first.is_some(), "the first is let in");
    let refused = call(&["k"]);
    let Answer::Error(failure) = refused.answer() else { panic!("{refused:?}") };
    assert_eq!(failure.code, FailureCode::TooManyRequests);
    assert!(failure.text.contains("tenant=`t` requests_per_s=`1`"), "{failure:?}");
    assert_eq!(call(&["k"]).failure(), FailureCode::TooManyRequests, "and goes on");
}

#[test]
fn connections_beyond_a_quota_are_turned_away() {
    let daemon = daemon(|t| t.connections_max = Some(1));
    let first = Client::reader(&daemon);
    let mut raw = Raw::connect(&daemon);
    let mut hello = Vec::new();
    Hello { version: VERSION, writes: false }.write(&mut hello, 1);
    // The daemon may have closed already.
    let _ = std::io::Write::write_all(&mut raw.stream, &hello);
    let received = raw.receive();
    let Answer::Error(failure) = received.answer() else { panic!("{received:?}") };
    assert_eq!(failure.code, FailureCode::NotAllowed);
    assert!(failure.text.contains("tenant=`t` connections_max=`1`"), "{failure:?}");
    drop(first);
    daemon.eventually("a place", || {
        let mut raw = Raw::connect(&daemon);
        let _ = std::io::Write::write_all(&mut raw.stream, &hello);
        !matches!(raw.receive().answer(), Answer::Error(_))
    });
}
