//! Frames that lie, frames in pieces, and clients that do not listen: at most their own
//! connection ends.

use std::{cell::Cell, io::Write, net::Shutdown, time::Duration};

use kvlease_api::lane::{
    Commit, CommitWriter, DoneStatus, FRAME_LEN_MAX, FailureCode, IdsWriter, KeysWriter, Kind, Mode,
};
use kvlease_testing::{Draws, bytes, rounds};
use kvlease_types::Checksum;

use super::client::{Client, acquire, acquire_for, bucket, ids, keys, reserve};
use crate::daemon::Daemon;

fn header(len: u32, kind: u16, flags: u16, request: u64) -> Vec<u8> {
    let mut frame = len.to_le_bytes().to_vec();
    frame.extend(kind.to_le_bytes());
    frame.extend(flags.to_le_bytes());
    frame.extend(request.to_le_bytes());
    frame
}

#[test]
fn a_length_beyond_the_limit_ends_the_connection_at_its_header() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut other = Client::reader(&daemon);
    let lease = other.lease("k").0.sequence;
    for len in [FRAME_LEN_MAX as u32 + 1, u32::MAX] {
        let mut client = Client::reader(&daemon);
        client.raw.send(&header(len, Kind::Acquire.number(), 0, 9));
        let received = client.raw.receive();
        assert_eq!((received.request(), received.failure()), (9, FailureCode::FrameTooLong));
        assert!(client.raw.is_closed());
    }
    assert_eq!(other.release(&[lease]), [DoneStatus::Done], "others notice nothing");
}

#[test]
fn a_frame_that_is_wrong_is_refused_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::writer(&daemon);
    let release = Kind::Release.number();
    let with = |kind: Kind, flags, payload: &[u8]| {
        let mut frame = header(payload.len() as u32, kind.number(), flags, 8);
        frame.extend(payload);
        frame
    };
    let mut many = 4_097_u32.to_le_bytes().to_vec();
    many.extend([0; 4 + 4_097 * 8]);
    let cases = [
        (header(0, 99, 0, 8), FailureCode::UnknownKind),
        (header(0, Kind::Welcome.number(), 0, 8), FailureCode::UnknownKind),
        (header(0, release, 0, 8), FailureCode::Malformed),
        (with(Kind::Release, 0, &[2, 0, 0, 0, 0, 0, 0, 0, 1]), FailureCode::Malformed),
        (with(Kind::Release, 0xffff, &[0; 8]), FailureCode::Malformed),
        (with(Kind::Release, 0, &[0xff; 8]), FailureCode::Malformed),
        (with(Kind::Release, 0, &many), FailureCode::Malformed),
        (with(Kind::Acquire, 0, &[0xff; 100]), FailureCode::Malformed),
        (
            with(Kind::Exists, 0, &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, b'b', 0, 0]),
            FailureCode::Malformed,
        ),
        (with(Kind::Exists, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff]), FailureCode::Malformed),
        (with(Kind::Reserve, 0, &[0xee; 64]), FailureCode::Malformed),
    ];
    for (number, (frame, code)) in cases.into_iter().enumerate() {
        client.raw.send(&frame);
        let received = client.raw.receive();
        assert_eq!((received.request(), received.failure()), (8, code), "case {number}");
        assert_eq!(client.exists(&["k"], Mode::Each), [DoneStatus::Done], "case {number}");
    }
}

#[test]
fn a_frame_that_never_ends_does_nothing() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let mut frame = Vec::new();
    acquire(&["k", "k"], Mode::Each, Duration::ZERO)(&mut frame, 1);
    client.raw.send(&frame[..frame.len() - 1]);
    assert!(client.finish().is_empty());
    assert_eq!(daemon.metric("kvlease_leases_granted_total"), 0.0);
}

#[test]
fn many_frames_at_once_are_answered_in_their_order() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let mut frames = Vec::new();
    for request in 0..1_000 {
        let name = bucket();
        match request % 3 {
            0 => acquire(&["k", "none"], Mode::Each, Duration::ZERO)(&mut frames, request),
            1 => ids(IdsWriter::release(&mut frames, request, false), &[request]),
            _ => keys(KeysWriter::exists(&mut frames, request, &name, Mode::Each), &["k"]),
        }
    }
    client.raw.send(&frames);
    for request in 0..1_000 {
        assert_eq!(client.raw.receive().request(), request);
    }
}

#[test]
fn a_frame_may_come_in_any_pieces() {
    let daemon = Daemon::start();
    daemon.put("k", b"x");
    let mut client = Client::reader(&daemon);
    let listed = ["k"; 30];
    let mut frame = Vec::new();
    keys(KeysWriter::exists(&mut frame, 1, &bucket(), Mode::Each), &listed);
    for piece in [1, 2, 7, 16, 17, 50] {
        for part in frame.chunks(piece) {
            client.raw.send(part);
        }
        assert_eq!(client.raw.receive().statuses(), [DoneStatus::Done; 30]);
    }
}

#[test]
fn a_client_that_takes_no_answers_is_cut_off_and_holds_nobody_up() {
    let daemon = Daemon::with(|config| config.put_stall_timeout = Duration::from_millis(300));
    daemon.put("k", b"x");
    let mut deaf = Client::reader(&daemon);
    let mut frame = Vec::new();
    let ttl = Some(Duration::from_millis(500));
    acquire_for(&["k"; 1_000], Mode::Each, Duration::ZERO, ttl)(&mut frame, 1);
    deaf.raw.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut other = Client::reader(&daemon);
    // Whole frames one after the other, until neither side takes any more. A pause may be that of a daemon that
    // is held up, which goes on to take them.
    let sent = Cell::new(0);
    let fill = || {
        while let Ok(len) = (&deaf.raw.stream).write(&frame[sent.get()..]) {
            sent.set((sent.get() + len) % frame.len());
        }
    };
    fill();
    assert_eq!(other.exists(&["k"], Mode::Each), [DoneStatus::Done]);
    daemon.eventually("its end", || {
        fill();
        daemon.metric("kvlease_lane_connections") == 1.0
    });
    assert!(deaf.drain() < 32 << 20, "what waited for it was bounded");
    daemon.until("the end of its leases", |stats| stats.leases == 0);
    assert_eq!(other.exists(&["k"], Mode::Each), [DoneStatus::Done]);
}

/// A valid frame, of objects that no other test part knows.
fn valid(draws: &mut Draws, request: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let names = ["m1", "m2", "m3", "m4"];
    let listed = &names[..1 + draws.index(4)];
    let numbers: Vec<_> = (0..1 + draws.index(4)).map(|_| draws.index(12) as u64).collect();
    let ttl = Some(Duration::from_millis(200));
    match draws.index(8) {
        0 | 1 => acquire_for(listed, Mode::Each, Duration::from_millis(1), ttl)(&mut out, request),
        2 => ids(IdsWriter::release(&mut out, request, false), &numbers),
        3 => ids(IdsWriter::renew(&mut out, request, ttl), &numbers),
        4 => keys(KeysWriter::remove(&mut out, request, &bucket()), listed),
        5 => reserve(&[("m1", 5000), ("m2", 10)])(&mut out, request),
        6 => ids(IdsWriter::abort(&mut out, request, false), &numbers),
        _ => {
            let mut frame = CommitWriter::begin(&mut out, request);
            for write in numbers {
                frame.push(Commit { write, checksum: Checksum::new(write) }).unwrap();
            }
            frame.finish();
        }
    }
    out
}

#[test]
fn mutated_frames_end_at_most_their_own_connection() {
    let daemon = Daemon::with(|config| {
        config.reservation_ttl = Duration::from_millis(300);
        config.lease_grace = Duration::from_millis(100);
        config.lease_ttl_max = Duration::from_secs(2);
        config.lease_ttl_default = Duration::from_millis(300);
    });
    let kept = bytes(100_000, 9);
    daemon.put("kept", &kept);
    let mut witness = Client::reader(&daemon);
    let mut draws = Draws::seeded(0x50c7);
    for _ in 0..rounds(300) {
        let mut client = Client::writer(&daemon);
        let mut sent = Vec::new();
        for request in 0..20 {
            let start = sent.len();
            sent.extend(valid(&mut draws, request));
            if draws.index(3) == 0 {
                let at = start + draws.index(sent.len() - start);
                match draws.index(3) {
                    0 => sent[at] ^= 1 << draws.index(8),
                    1 => sent[at] = 0xff,
                    _ => sent.truncate(at.max(start + 1)),
                }
            }
        }
        // The daemon may have closed on the way.
        let _ = client.raw.stream.write_all(&sent);
        let _ = client.raw.stream.shutdown(Shutdown::Write);
        client.drain();
        assert_eq!(witness.exists(&["kept"], Mode::Each), [DoneStatus::Done]);
    }
    let outcomes = [
        ("acquire", "ok"),
        ("acquire", "malformed"),
        ("commit", "ok"),
        ("unknown", "frame_too_long"),
    ];
    for (kind, outcome) in outcomes {
        let labels = format!("{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
        let seen = daemon.metric(&format!("kvlease_lane_requests_total{labels}"));
        assert!(seen > 0.0, "{kind} {outcome}");
    }
    let extents = witness.lease("kept").1;
    assert_eq!(witness.read(&extents), kept);
    drop(witness);
    daemon.until("no lease, no write", |stats| stats.leases == 0 && stats.writes == 0);
    daemon.eventually("no connection", || daemon.metric("kvlease_lane_connections") == 0.0);
}
