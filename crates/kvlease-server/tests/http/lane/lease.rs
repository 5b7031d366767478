//! Leases over the fast lane: whose they are, and what is told of them.

use std::{thread::sleep, time::Duration};

use kvlease_api::lane::{DoneStatus, IdsWriter, LeaseStatus, Mode};
use kvlease_testing::bytes;
use kvlease_types::ByteSize;

use super::client::{Client, acquire, acquire_for, checksum, ids};
use crate::daemon::{Daemon, WAIT_MAX};

use DoneStatus::{Done, Unknown};

#[test]
fn a_lease_says_where_the_object_is_and_how_to_check_it() {
    let daemon = Daemon::start();
    let sent = bytes(300_000, 1);
    daemon.put("k", &sent);
    let mut client = Client::reader(&daemon);
    let (grant, extents) = client.lease("k");
    assert_eq!(grant.len, ByteSize::new(300_000));
    assert_eq!(grant.checksum, checksum(&sent));
    assert_eq!(client.read(&extents), sent);
    assert_ne!(grant.generation, 0);
    assert_eq!(client.generation(grant.slot), grant.generation);
    assert_eq!(daemon.stats().leases, 1);
    let over_http = daemon.lease("k");
    assert_eq!(over_http.generation, Some(grant.generation));
    assert_eq!(daemon.leased_bytes(&over_http), sent);
}

#[test]
fn an_object_in_many_extents_arrives_whole() {
    let daemon = Daemon::start();
    // Every second of many small objects goes, so that a large one has to be cut to pieces.
    let small = bytes(256 << 10, 1);
    let keys: Vec<_> = (0..60).map(|number| format!("small{number}")).collect();
    keys.iter().for_each(|key| daemon.put(key, &small));
    let mut client = Client::reader(&daemon);
    let odd: Vec<_> = keys.iter().skip(1).step_by(2).map(String::as_str).collect();
    let even: Vec<_> = keys.iter().step_by(2).map(String::as_str).collect();
    assert!(client.acquire(&even).iter().all(Result::is_ok));
    assert!(client.remove(&odd).iter().all(|status| *status == Done));
    let large = bytes(6 << 20, 2);
    daemon.put("large", &large);
    let mut others = vec!["none", "large", "small0"];
    let records = client.acquire(&others);
    let (grant, extents) = records[1].as_ref().unwrap();
    assert!(extents.len() > 3, "{extents:?}");
    assert_eq!((grant.len.bytes(), client.read(extents)), (6 << 20, large));
    assert_eq!(client.read(&records[2].as_ref().unwrap().1), small);
    others.reverse();
    let records = client.acquire(&others);
    assert_eq!(records[1].as_ref().unwrap().1, *extents);
}

#[test]
fn each_key_is_answered_for_itself() {
    let daemon = Daemon::start();
    for key in ["a", "c"] {
        daemon.put(key, key.as_bytes());
    }
    let mut client = Client::reader(&daemon);
    let records = client.acquire(&["a", "b", "c", "a"]);
    let granted: Vec<_> = records.iter().map(Result::is_ok).collect();
    assert_eq!(granted, [true, false, true, true]);
    assert_eq!(records[1], Err(LeaseStatus::Absent));
    assert_eq!(daemon.stats().leases, 3);
    assert!(client.acquire(&[]).is_empty());
}

#[test]
fn a_prefix_ends_with_the_first_miss() {
    let daemon = Daemon::start();
    for key in ["a", "b", "d"] {
        daemon.put(key, b"x");
    }
    let mut client = Client::reader(&daemon);
    let records = client.acquire_prefix(&["a", "b", "c", "d"]);
    assert_eq!(records.len(), 3);
    assert_eq!(records[2], Err(LeaseStatus::Absent));
    assert_eq!(daemon.stats().leases, 2);
    assert_eq!(client.acquire_prefix(&["a", "b"]).len(), 2);
    assert_eq!(client.exists(&["a", "b", "c", "d"], Mode::Prefix), [Done, Done, Unknown]);
    assert_eq!(client.exists(&["a", "c", "d"], Mode::Each), [Done, Unknown, Done]);
}

#[test]
fn thousands_of_keys_fit_a_frame_and_each_finds_its_answer() {
    let daemon = Daemon::start();
    let keys: Vec<_> = (0..4_096).map(|number| format!("model@{number}")).collect();
    for key in keys.iter().step_by(8) {
        daemon.put(key, key.as_bytes());
    }
    let mut client = Client::reader(&daemon);
    let listed: Vec<_> = keys.iter().map(String::as_str).collect();
    let records = client.acquire(&listed);
    assert_eq!(records.len(), 4_096);
    let mut sequences = Vec::new();
    for (number, record) in records.iter().enumerate() {
        match record {
            Ok((grant, extents)) => {
                assert_eq!(number % 8, 0);
                assert_eq!(client.read(extents), keys[number].as_bytes());
                sequences.push(grant.sequence);
            }
            Err(status) => assert_eq!((*status, number % 8 > 0), (LeaseStatus::Absent, true)),
        }
    }
    assert_eq!(daemon.stats().leases, 512);
    assert!(client.release(&sequences).iter().all(|status| *status == Done));
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn what_was_evicted_lately_is_told_apart() {
    let daemon = Daemon::with(|config| config.capacity = Some(ByteSize::mib(4)));
    daemon.put("old", &bytes(2 << 20, 1));
    daemon.put("new", &bytes(3 << 20, 2));
    let mut client = Client::reader(&daemon);
    assert_eq!(
        client.acquire(&["old", "never"]),
        [Err(LeaseStatus::Evicted), Err(LeaseStatus::Absent)]
    );
}

#[test]
fn more_leases_than_may_live_are_refused() {
    let daemon = Daemon::with(|config| config.leases_max = Some(2));
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let records = client.acquire(&["k", "k", "k"]);
    assert!(records[0].is_ok() && records[1].is_ok());
    assert_eq!(records[2], Err(LeaseStatus::TooManyLeases));
}

/// Takes leases of an object until they are refused. Returns their number.
fn take_all(client: &mut Client, key: &str) -> usize {
    let keys = [key; 4_000];
    let mut granted = 0;
    let refusal = loop {
        let records = client.acquire(&keys);
        granted += records.iter().filter(|record| record.is_ok()).count();
        if let Some(Err(refusal)) = records.last() {
            break *refusal;
        }
        assert!(granted < 256_500, "leases have a limit");
    };
    assert_eq!(refusal, LeaseStatus::TooManyLeases);
    granted
}

#[test]
fn a_connection_at_its_limit_leaves_leases_to_others_and_no_object_is_evicted() {
    let daemon = Daemon::start();
    for number in 0..2_000 {
        daemon.put(&number.to_string(), b"x");
    }
    let mut greedy = Client::reader(&daemon);
    assert_eq!(take_all(&mut greedy, "7"), 16_384);
    assert!(Client::reader(&daemon).acquire(&["7"])[0].is_ok(), "others have the rest");
    daemon.lease("7");
    assert_eq!(daemon.stats().objects, 2_000);
    assert!(daemon.metric("kvlease_leases_max") < 65_536.0);
    assert!(daemon.metric("kvlease_misses_total{reason=\"too_many_leases\"}") >= 1.0);
    drop(greedy);
    daemon.until("the leases of the client that has gone", |stats| stats.leases == 1);
}

#[test]
fn a_user_at_its_limit_leaves_leases_to_others_whatever_connections_it_opens() {
    let daemon = Daemon::with(|config| config.leases_max = Some(40_000));
    daemon.put("k", b"x");
    let all = daemon.metric("kvlease_leases_max") as usize;
    let mut connections = [(); 3].map(|()| Client::reader(&daemon));
    let granted = connections.each_mut().map(|client| take_all(client, "k"));
    assert_eq!(granted.iter().sum::<usize>(), all - all / 8, "{granted:?}");
    assert_eq!(granted[2], 0, "a further connection has nothing of its own");
    for _ in 0..all / 8 {
        daemon.lease("k");
    }
    assert_eq!(daemon.stats().leases as usize, all, "clients of HTTP are another user");
}

#[test]
fn only_the_connection_that_has_a_lease_can_end_or_extend_it() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let (mut owner, mut other) = (Client::reader(&daemon), Client::reader(&daemon));
    let sequence = owner.lease("k").0.sequence;
    let strange = [sequence, sequence + 1, 0, u64::MAX];
    assert_eq!(other.release(&strange), [Unknown; 4]);
    assert_eq!(other.renew(&strange), [Unknown; 4]);
    assert_eq!(daemon.stats().leases, 1);
    assert_eq!(owner.renew(&[sequence, 0]), [Done, Unknown]);
    assert_eq!(owner.release(&[sequence, sequence, 0]), [Done, Unknown, Unknown]);
    assert_eq!(owner.renew(&[sequence]), [Unknown]);
    assert_eq!(daemon.stats().leases, 0);
    drop(other);
    let over_http = daemon.lease("k");
    let sequence = over_http.id.split('-').nth(1).unwrap();
    let sequence = u64::from_str_radix(sequence, 16).unwrap();
    assert_eq!(owner.release(&[sequence]), [Unknown], "leases of HTTP are unknown here");
    assert_eq!(daemon.stats().leases, 1);
}

#[test]
fn a_lease_ends_by_its_deadline_and_its_owner_learns_so() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let ttl = Duration::from_millis(30);
    let answer = client.call(acquire_for(&["k"], Mode::Each, Duration::ZERO, Some(ttl)));
    let (granted, records) = answer.leases();
    assert_eq!(granted, ttl);
    let sequence = records[0].as_ref().unwrap().0.sequence;
    sleep(ttl);
    assert_eq!(client.renew(&[sequence]), [Unknown]);
    assert_eq!(client.release(&[sequence]), [Unknown]);
    daemon.until("the expiry", |stats| stats.leases_expired == 1);
    let longest = Duration::from_secs(1_000_000);
    let answer = client.call(acquire_for(&["k"], Mode::Each, Duration::ZERO, Some(longest)));
    assert_eq!(answer.leases().0, Duration::from_secs(300), "a longer time to live is cut");
}

#[test]
fn no_request_over_http_ends_or_extends_a_lease_of_the_lane() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let (grant, _) = client.lease("k");
    let bare = client.id(&grant);
    // Neither its number alone nor the tag of a lease of HTTP opens it.
    let over_http = daemon.lease("k");
    let tag = over_http.id.rsplit_once('-').unwrap().1;
    let mut wire = daemon.wire();
    for id in [bare.clone(), format!("{bare}-{tag}"), format!("{bare}-0000000000000000")] {
        assert_eq!(wire.call("POST", &format!("/v1/leases/{id}/renew")).status, 404, "{id}");
        assert_eq!(wire.call("POST", &format!("/v1/leases/{id}/release")).status, 200, "{id}");
        assert_eq!(daemon.stats().leases, 2, "{id}");
    }
    assert_eq!(client.release(&[grant.sequence]), [Done]);
    daemon.release(&over_http);
    assert_eq!(daemon.stats().leases, 0);
    assert_eq!(daemon.metric("kvlease_lease_held_seconds_count"), 2.0, "over either way");
}

#[test]
fn a_silent_release_is_not_answered() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let sequence = client.lease("k").0.sequence;
    client.send(|out, request| ids(IdsWriter::release(out, request, true), &[sequence, 4]));
    assert_eq!(client.exists(&["k"], Mode::Each), [Done], "the next answer is the next frame's");
    assert_eq!(daemon.stats().leases, 0);
}

#[test]
fn removed_objects_are_gone_and_their_generation_with_them() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let (grant, _) = client.lease("k");
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/unfinished", 10);
    daemon.until("the write", |stats| stats.writes == 1);
    let statuses = client.remove(&["k", "none", "unfinished"]);
    assert_eq!(statuses, [Done, Unknown, DoneStatus::BeingWritten]);
    assert_eq!(client.acquire(&["k"]), [Err(LeaseStatus::Absent)]);
    assert_eq!(client.generation(grant.slot), grant.generation, "it is leased");
    assert_eq!(client.release(&[grant.sequence]), [Done]);
    assert_eq!(client.generation(grant.slot), 0);
}

#[test]
fn a_client_that_goes_away_leaves_no_lease() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut clients: Vec<_> = (0..5).map(|_| Client::reader(&daemon)).collect();
    for client in &mut clients {
        assert!(client.acquire(&["k"; 100]).iter().all(Result::is_ok));
    }
    // The answer to this one is never read.
    clients[0].send(acquire(&["k"; 50], Mode::Each, Duration::ZERO));
    daemon.until("the leases", |stats| stats.leases == 550);
    drop(clients);
    daemon.until("their end", |stats| stats.leases == 0);
    assert_eq!(daemon.metric("kvlease_leases_expired_unreleased_total"), 0.0);
    daemon.eventually("no connection", || daemon.metric("kvlease_lane_connections") == 0.0);
}

#[test]
fn a_client_that_only_ends_its_sending_is_answered_and_leaves_no_lease() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    client.send(acquire(&["k", "none"], Mode::Each, Duration::ZERO));
    let answers = client.finish();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].leases().1[0].is_ok());
    daemon.until("the end", |stats| stats.leases == 0);
}

#[test]
fn a_client_that_the_daemon_turned_away_keeps_its_leases_until_they_end() {
    // A long time to live to see that they are kept, and a short one to see the end.
    for (ttl, ends) in [(WAIT_MAX, false), (Duration::from_millis(200), true)] {
        let daemon = Daemon::start();
        daemon.put("k", b"x");
        let mut client = Client::reader(&daemon);
        client.call(acquire_for(&["k"], Mode::Each, Duration::ZERO, Some(ttl)));
        client.raw.send(&[0xff; 16]);
        client.raw.receive().failure();
        assert!(client.raw.is_closed());
        daemon.eventually("the close", || daemon.metric("kvlease_lane_connections") == 0.0);
        if ends {
            daemon.until("the expiry", |stats| stats.leases_expired == 1 && stats.leases == 0);
        } else {
            assert_eq!(daemon.stats().leases, 1, "it may still be copying");
        }
    }
}

#[test]
fn requests_and_items_are_counted() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::writer(&daemon);
    let sequence = client.lease("k").0.sequence;
    client.acquire(&["none", "k"]);
    client.release(&[sequence, 0]);
    client.exists(&["k", "none"], Mode::Each);
    client.send(|out, _| out.extend([0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    client.raw.receive().failure();
    let stats = daemon.stats();
    assert_eq!((stats.hits, stats.misses), (2, 1));
    for (series, value) in [
        ("kvlease_lane_connections", 1.0),
        ("kvlease_lane_requests_total{kind=\"acquire\",outcome=\"ok\"}", 2.0),
        ("kvlease_lane_requests_total{kind=\"release\",outcome=\"ok\"}", 1.0),
        ("kvlease_lane_requests_total{kind=\"unknown\",outcome=\"unknown_kind\"}", 1.0),
        ("kvlease_lane_items_total{kind=\"acquire\",status=\"granted\"}", 2.0),
        ("kvlease_lane_items_total{kind=\"acquire\",status=\"absent\"}", 1.0),
        ("kvlease_lane_items_total{kind=\"release\",status=\"done\"}", 1.0),
        ("kvlease_lane_items_total{kind=\"release\",status=\"unknown\"}", 1.0),
        ("kvlease_lane_items_total{kind=\"exists\",status=\"done\"}", 1.0),
        ("kvlease_misses_total{reason=\"absent\"}", 1.0),
        ("kvlease_lane_request_duration_seconds_count{kind=\"acquire\"}", 2.0),
    ] {
        assert_eq!(daemon.metric(series), value, "{series}");
    }
}
