//! Objects that clients write into the arena by themselves.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, IdsWriter, LeaseStatus, Mode, ReserveStatus};
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Checksum};

use super::client::{Client, acquire, behind_the_deadline, checksum, ids, reserve};
use crate::daemon::{Daemon, WAIT_MAX};

use DoneStatus::{Done, Expired, Unknown};

#[test]
fn what_is_committed_is_what_was_written() {
    let daemon = Daemon::start();
    let mut client = Client::writer(&daemon);
    let objects = [("small", bytes(10, 1)), ("empty", vec![]), ("large", bytes(5 << 20, 2))];
    let requested = objects.each_ref().map(|(key, bytes)| (*key, bytes.len() as u64));
    let reserved = client.reserve(&requested);
    let mut commits = Vec::new();
    for ((_, bytes), reserved) in objects.iter().zip(&reserved) {
        let (name, extents) = reserved.as_ref().unwrap();
        client.fill(extents, bytes);
        commits.push((*name, checksum(bytes)));
    }
    assert_eq!(client.acquire(&["small"]), [Err(LeaseStatus::StillWriting)]);
    assert_eq!(daemon.status_of("small"), 404, "it is not visible before");
    assert_eq!(client.commit(&commits), [Done; 3]);
    for (key, bytes) in &objects {
        let reply = daemon.wire().call("GET", &format!("/v1/kv/b/{key}"));
        assert_eq!((reply.status, &reply.body), (200, bytes), "{key}");
        let (grant, extents) = client.lease(key);
        assert_eq!((grant.checksum, client.read(&extents)), (checksum(bytes), bytes.clone()));
        assert_eq!(client.generation(grant.slot), grant.generation);
    }
    assert_eq!(daemon.metric("kvlease_lane_written_bytes_total"), (10 + (5 << 20)) as f64);
}

#[test]
fn an_object_with_a_wrong_checksum_is_removed_and_no_other() {
    let daemon = Daemon::start();
    daemon.put("other", b"untouched");
    let mut client = Client::writer(&daemon);
    let (name, extents) = client.reserve_one("k", 100);
    client.fill(&extents, &bytes(100, 1));
    assert_eq!(client.commit(&[(name, Checksum::new(1))]), [Done]);
    let mut wire = daemon.wire();
    wire.send("GET /v1/kv/b/k HTTP/1.1\r\nHost: daemon\r\n\r\n");
    assert!(!wire.rest().ends_with(&bytes(100, 1)), "the last piece is never sent");
    assert_eq!(daemon.status_of("k"), 404, "it was found corrupt, and removed");
    assert_eq!(daemon.wire().call("GET", "/v1/kv/b/other").body, b"untouched");
}

#[test]
fn a_reservation_is_committed_or_aborted_once_and_by_its_own_connection() {
    let daemon = Daemon::start();
    let (mut client, mut other) = (Client::writer(&daemon), Client::writer(&daemon));
    let sum = checksum(&[]);
    let (committed, _) = client.reserve_one("committed", 0);
    let (aborted, _) = client.reserve_one("aborted", 4096);
    let strange = [(committed, sum), (aborted, sum), (0, sum), (u64::MAX, sum)];
    assert_eq!(other.commit(&strange), [Unknown; 4]);
    assert_eq!(other.abort(&[committed, aborted, 99]), [Unknown; 3]);
    assert_eq!(daemon.stats().writes, 2);
    assert_eq!(client.commit(&[(committed, sum), (committed, sum)]), [Done, Unknown]);
    assert_eq!(client.abort(&[committed, aborted, aborted]), [Unknown, Done, Unknown]);
    assert_eq!(client.commit(&[(aborted, sum)]), [Unknown]);
    assert_eq!(daemon.stats().writes, 0);
    assert_eq!(client.exists(&["committed", "aborted"], Mode::Each), [Done, Unknown]);
    let (name, _) = client.reserve_one("aborted", 4096);
    client.send(|out, request| ids(IdsWriter::abort(out, request, true), &[name]));
    assert_eq!(client.exists(&["aborted"], Mode::Each), [Unknown]);
    assert_eq!(daemon.stats().writes, 0);
}

#[test]
fn every_refusal_of_a_reservation_has_its_reason() {
    let daemon = Daemon::with(|config| {
        config.object_len_max = ByteSize::mib(12);
        config.lease_grace = Duration::from_millis(10);
    });
    daemon.put("there", &bytes(8 << 20, 1));
    let mut client = Client::writer(&daemon);
    let lease = client.lease("there").0.sequence;
    let records = client.reserve(&[
        ("there", 10),
        ("mine", 4096),
        ("mine", 4096),
        ("large", (12 << 20) + 1),
        ("huge", u64::MAX),
        ("much", 11 << 20),
    ]);
    let statuses: Vec<_> = records.iter().map(|record| record.as_ref().err().copied()).collect();
    let expected = [
        Some(ReserveStatus::Exists),
        None,
        Some(ReserveStatus::BeingWritten),
        Some(ReserveStatus::TooLarge),
        Some(ReserveStatus::TooLarge),
        Some(ReserveStatus::NoSpace),
    ];
    assert_eq!(statuses, expected);
    assert_eq!(client.release(&[lease]), [Done]);
    assert!(client.reserve(&[("much", 11 << 20)])[0].is_ok(), "what is not leased makes room");
    assert_eq!(daemon.stats().writes, 2);
}

#[test]
fn a_connection_has_a_bounded_number_of_open_reservations() {
    let daemon = Daemon::with(|config| config.capacity = Some(ByteSize::mib(32)));
    let mut client = Client::writer(&daemon);
    let keys: Vec<_> = (0..4_097).map(|number| format!("k{number}")).collect();
    let requested: Vec<_> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let reserved = client.reserve(&requested[..4_096]);
    assert!(reserved.iter().all(Result::is_ok));
    assert_eq!(client.reserve(&requested[4_096..]), [Err(ReserveStatus::TooManyReservations)]);
    let never = client.reserve(&[("never", (32 << 20) + 1)]);
    assert_eq!(never, [Err(ReserveStatus::TooLarge)], "it would not help to try again");
    let first = reserved[0].as_ref().unwrap().0;
    assert_eq!(client.abort(&[first]), [Done]);
    assert!(client.reserve(&requested[4_096..])[0].is_ok());
}

#[test]
fn a_client_that_goes_away_leaves_no_half_written_object() {
    let daemon = Daemon::start();
    let mut client = Client::writer(&daemon);
    client.reserve_one("a", 1 << 20);
    client.reserve_one("b", 1 << 20);
    client.send(reserve(&[("c", 4096)]));
    daemon.until("the reservations", |stats| stats.writes == 3);
    drop(client);
    daemon.until("their end", |stats| stats.writes == 0);
    assert_eq!(daemon.stats().free, daemon.stats().populated);
    daemon.put("a", b"again");
}

#[test]
fn who_waits_for_a_reserved_object_is_woken_by_its_commit_or_its_end() {
    let daemon = Daemon::start();
    let mut writer = Client::writer(&daemon);
    let mut reader = Client::reader(&daemon);
    let (name, extents) = writer.reserve_one("k", 100);
    writer.reserve_one("never", 100);
    let both = ["k", "never"];
    reader.send(acquire(&both, Mode::Each, WAIT_MAX));
    assert!(reader.raw.is_silent_for(Duration::from_millis(30)));
    writer.fill(&extents, &bytes(100, 1));
    assert_eq!(writer.commit(&[(name, checksum(&bytes(100, 1)))]), [Done]);
    drop(writer);
    let (_, records) = reader.raw.receive().leases();
    assert_eq!(reader.read(&records[0].as_ref().unwrap().1), bytes(100, 1));
    assert_eq!(records[1], Err(LeaseStatus::Absent));
}

#[test]
fn a_reservation_ends_some_grace_after_its_deadline() {
    let keys = ["late", "other"];
    let both = |client: &mut Client| keys.map(|key| client.reserve_one(key, 4096).0);
    behind_the_deadline(both, |daemon, client, [late, other], ended| {
        let sum = checksum(&[]);
        if ended {
            assert_eq!(client.commit(&[(late, sum), (other, sum)]), [Unknown; 2]);
        } else {
            assert_eq!(client.commit(&[(late, sum)]), [Expired]);
            assert_eq!(daemon.stats().writes, 1, "the other one may still be written to");
        }
        assert_eq!(client.exists(&keys, Mode::Each), [Unknown; 2]);
    });
}

#[test]
fn a_writer_that_the_daemon_turned_away_keeps_its_extents_until_it_cannot_be_writing() {
    // A long time to see that they are kept, and a short one to see the end.
    for (ttl, ends) in [(WAIT_MAX, false), (Duration::from_millis(200), true)] {
        let daemon = Daemon::with(|config| {
            config.reservation_ttl = ttl;
            config.lease_grace = ttl;
        });
        let mut client = Client::writer(&daemon);
        client.reserve_one("k", 1 << 20);
        client.raw.send(&[0xff; 16]);
        client.raw.receive().failure();
        assert!(client.raw.is_closed());
        daemon.eventually("the close", || daemon.metric("kvlease_lane_connections") == 0.0);
        if ends {
            daemon.until("the end", |stats| stats.writes == 0);
            daemon.put("k", b"x");
        } else {
            assert_eq!(daemon.stats().writes, 1);
            assert_eq!(daemon.wire().put("/v1/kv/b/k", b"x").status, 409);
        }
    }
}
