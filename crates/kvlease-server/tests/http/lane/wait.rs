//! Acquires that wait for a writer: woken by its end, and in no other client's way.

use std::time::Duration;

use kvlease_api::lane::{DoneStatus, LeaseStatus, Mode};
use kvlease_testing::bytes;

use super::client::{Client, acquire};
use crate::{
    daemon::{Daemon, WAIT_MAX},
    wire::Wire,
};

/// Short, for waits that have to end without what they wait for.
const SHORT: Duration = Duration::from_millis(50);

/// A PUT that lacks its last byte.
fn unfinished(daemon: &Daemon, key: &str) -> Wire {
    let writes = daemon.stats().writes;
    let mut writer = daemon.wire();
    writer.begin_put(&format!("/v1/kv/b/{key}"), 1000);
    writer.send(bytes(999, 1));
    daemon.until("the write", |stats| stats.writes == writes + 1);
    writer
}

fn seal(writer: &mut Wire) {
    writer.send([bytes(1000, 1)[999]]);
    assert_eq!(writer.reply().status, 200);
}

#[test]
fn a_waiting_acquire_is_answered_when_the_object_is_sealed() {
    let daemon = Daemon::start();
    daemon.put("there", b"x");
    let mut writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    client.send(acquire(&["there", "k", "none", "k"], Mode::Each, WAIT_MAX));
    daemon.until("what is there is leased at once", |stats| stats.leases == 1);
    assert!(client.raw.is_silent_for(SHORT));
    seal(&mut writer);
    let (_, records) = client.raw.receive().leases();
    let granted: Vec<_> = records.iter().map(Result::is_ok).collect();
    assert_eq!(granted, [true, true, false, true]);
    let (grant, extents) = records[1].as_ref().unwrap();
    assert_eq!(client.read(extents), bytes(1000, 1));
    assert_eq!(client.generation(grant.slot), grant.generation);
    assert_eq!(client.release(&[grant.sequence]), [DoneStatus::Done]);
    assert_eq!(daemon.stats().leases, 2);
    assert_eq!(daemon.metric("kvlease_lease_waits_total"), 1.0);
}

#[test]
fn later_frames_are_not_held_up() {
    let daemon = Daemon::start();
    let mut writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    let waiting = client.send(acquire(&["k"], Mode::Each, WAIT_MAX));
    for _ in 0..10 {
        assert_eq!(client.exists(&["none"], Mode::Each), [DoneStatus::Unknown]);
    }
    seal(&mut writer);
    let received = client.raw.receive();
    assert_eq!(received.request(), waiting);
    assert!(received.leases().1[0].is_ok());
}

#[test]
fn a_wait_ends_with_the_writer_that_gives_up() {
    let daemon = Daemon::start();
    let writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    client.send(acquire(&["k"], Mode::Each, WAIT_MAX));
    assert!(client.raw.is_silent_for(SHORT));
    drop(writer);
    assert_eq!(client.raw.receive().leases().1, [Err(LeaseStatus::Absent)]);
}

#[test]
fn a_wait_that_is_over_says_so_and_keeps_what_was_leased() {
    let daemon = Daemon::with(|config| config.lease_wait_max = SHORT);
    daemon.put("there", b"x");
    let _writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    for wait in [Duration::ZERO, SHORT, WAIT_MAX] {
        let (_, records) = client.call(acquire(&["k", "there"], Mode::Each, wait)).leases();
        assert_eq!(records[0], Err(LeaseStatus::StillWriting));
        let sequence = records[1].as_ref().unwrap().0.sequence;
        assert_eq!(client.release(&[sequence]), [DoneStatus::Done]);
    }
}

#[test]
fn a_prefix_goes_on_behind_what_it_waited_for() {
    let daemon = Daemon::start();
    for key in ["a", "c", "e"] {
        daemon.put(key, key.as_bytes());
    }
    let (mut first, mut second) = (unfinished(&daemon, "b"), unfinished(&daemon, "d"));
    let mut client = Client::reader(&daemon);
    client.send(acquire(&["a", "b", "c", "d", "e", "f", "a"], Mode::Prefix, WAIT_MAX));
    daemon.until("the first of them", |stats| stats.leases == 1);
    assert!(client.raw.is_silent_for(SHORT));
    seal(&mut first);
    daemon.until("the next writer", |stats| stats.leases == 3);
    assert!(client.raw.is_silent_for(SHORT));
    seal(&mut second);
    let (_, records) = client.raw.receive().leases();
    assert_eq!(records.len(), 6);
    assert!(records[..5].iter().all(Result::is_ok));
    assert_eq!(records[5], Err(LeaseStatus::Absent));
    let mut sequences: Vec<_> =
        records[..5].iter().map(|record| record.as_ref().unwrap().0.sequence).collect();
    for (record, key) in records[..5].iter().zip(["a", "", "c", "", "e"]) {
        if !key.is_empty() {
            assert_eq!(client.read(&record.as_ref().unwrap().1), key.as_bytes());
        }
    }
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(client.release(&sequences), [DoneStatus::Done; 5]);
}

#[test]
fn a_client_that_goes_away_while_it_waits_gets_no_lease() {
    let daemon = Daemon::start();
    let mut writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    client.send(acquire(&["k"], Mode::Each, WAIT_MAX));
    assert!(client.raw.is_silent_for(SHORT));
    drop(client);
    daemon.eventually("the end", || daemon.metric("kvlease_lane_connections") == 0.0);
    seal(&mut writer);
    assert_eq!(daemon.stats().leases, 0);
    assert_eq!(daemon.metric("kvlease_leases_granted_total"), 0.0);
}

#[test]
fn a_connection_waits_with_a_bounded_number_of_frames() {
    let daemon = Daemon::start();
    let mut writer = unfinished(&daemon, "k");
    let mut client = Client::reader(&daemon);
    let waiting: Vec<_> =
        (0..64).map(|_| client.send(acquire(&["k"], Mode::Each, WAIT_MAX))).collect();
    let (_, records) = client.call(acquire(&["k"], Mode::Each, WAIT_MAX)).leases();
    assert_eq!(records, [Err(LeaseStatus::StillWriting)], "one more is answered at once");
    seal(&mut writer);
    let mut answered: Vec<_> = waiting
        .iter()
        .map(|_| {
            let received = client.raw.receive();
            assert!(received.leases().1[0].is_ok());
            received.request()
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, waiting);
    assert_eq!(daemon.stats().leases, 64);
}
