//! Memory of connections of the fast lane: frames, answers and waits.

use kvlease_api::lane::{LeaseStatus, Mode};
use kvlease_types::ByteSize;

use super::client::{Client, acquire};
use crate::daemon::{Daemon, WAIT_MAX};

/// A daemon with the least memory for connections.
fn tight() -> Daemon {
    Daemon::with(|config| config.connection_memory_max = Some(ByteSize::mib(32)))
}

/// Long names of objects that do not exist, and of one that is pending.
fn names() -> Vec<String> {
    let absent = (0..2_000).map(|n| format!("{n:0250}"));
    absent.chain(["pending".to_owned()]).collect()
}

#[test]
fn half_a_frame_is_kept_for_a_while_and_not_for_ever() {
    let daemon = tight();
    let names = names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut frame = Vec::new();
    acquire(&names, Mode::Each, WAIT_MAX)(&mut frame, 7);
    let mut halves: Vec<_> = (0..20).map(|_| Client::reader(&daemon)).collect();
    for half in &mut halves {
        // The first 16 KiB are the connection's own, and its socket takes some more.
        half.raw.send(&frame[..100_000]);
    }
    daemon
        .eventually("memory for frames", || daemon.metric("kvlease_connection_memory_bytes") > 1e6);
    assert!(daemon.metric("kvlease_connection_memory_bytes") < f64::from(3 << 20));
    assert_eq!(Client::reader(&daemon).exists(&["none"], Mode::Each).len(), 1, "others are served");
    daemon.eventually("their end", || daemon.metric("kvlease_lane_connections") == 0.0);
    for half in &mut halves {
        assert!(half.raw.is_closed());
    }
}

#[test]
fn waits_keep_what_they_need_and_no_more_than_their_share() {
    let daemon = tight();
    let mut writer = daemon.wire();
    writer.begin_put("/v1/kv/b/pending", 3);
    daemon.until("the write", |stats| stats.writes == 1);
    let names = names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut client = Client::reader(&daemon);
    let mut other = Client::reader(&daemon);
    // 1 MiB is for waits, and a quarter of it for one connection: less than one of these frames.
    client.send(acquire(&names, Mode::Each, WAIT_MAX));
    for _ in 0..19 {
        let (_, records) = client.call(acquire(&names, Mode::Each, WAIT_MAX)).leases();
        assert_eq!(records.last().unwrap().as_ref().unwrap_err(), &LeaseStatus::StillWriting);
    }
    assert!(daemon.metric("kvlease_connection_memory_short_total") >= 19.0);
    other.send(acquire(&["pending"], Mode::Each, WAIT_MAX));
    writer.send("abc");
    assert_eq!(writer.reply().status, 200);
    for client in [&mut client, &mut other] {
        let (_, records) = client.raw.receive().leases();
        assert!(records.last().unwrap().is_ok(), "who waits gets the object");
    }
}
