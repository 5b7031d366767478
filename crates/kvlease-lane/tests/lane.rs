//! The fast lane against peers that are no daemon, or one that lies.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod cancelled;
mod peer;
mod spares;

use std::{
    io::{Read, Write},
    sync::mpsc,
    time::Duration,
};

use kvlease_api::lane::{
    DoneStatus, FRAME_LEN_MAX, Frame, LeaseStatus, LeasesWriter, Request, ReservationsWriter,
    write_done,
};
use kvlease_arena::Generations;
use kvlease_attach::TrustedUsers;
use kvlease_lane::{AcquireOutcome, Lane, LaneError, LanePut};
use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, Offset};

use peer::{
    CAPACITY, LIMIT, Peer, arena, grant, granted, greet, greet_with, next_frame, read_frame,
    welcome,
};

async fn open_as(peer: &Peer, trusted: TrustedUsers) -> Result<Lane, LaneError> {
    Lane::open(&peer.path(), BucketName::new("b").unwrap(), true, trusted, 1, LIMIT).await
}

async fn open(peer: &Peer) -> Result<Lane, LaneError> {
    open_as(peer, TrustedUsers::default()).await
}

/// Outcome of an acquire of one key, for a client that gets these bytes as the answer.
async fn acquired(
    answer: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
) -> Result<Vec<AcquireOutcome>, LaneError> {
    let peer = Peer::serving(|stream| {
        let generations = Generations::create(8).unwrap();
        generations.set(3, 9);
        greet(&stream, &generations);
        let request = read_frame(&mut &stream);
        (&stream).write_all(&answer(request)).unwrap();
        // Until the client has closed.
        let _ = (&stream).read(&mut [0]);
    });
    let lane = open(&peer).await.unwrap();
    lane.acquire(&[Key::new("k").unwrap()], false, LIMIT, LIMIT, LIMIT).await
}

#[tokio::test]
async fn a_lease_is_as_live_as_its_generation() {
    for (slot, generation, live) in [(3, 9, true), (3, 8, false), (4, 0, false), (99, 9, false)] {
        let found = acquired(move |request| granted(request, grant(slot, generation), 0)).await;
        let [AcquireOutcome::Leased(lease)] = &found.unwrap()[..] else { panic!("it was granted") };
        assert_eq!(lease.is_live(), live, "slot={slot} generation={generation}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let answers: [fn(u64) -> Vec<u8>; 7] = [
        |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        |_| vec![0xff; 64],
        |request| granted(request + 1, grant(3, 9), 0),
        |_| granted(0, grant(3, 9), 0),
        |request| LeasesWriter::begin(Vec::new(), request).finish(LIMIT),
        |_| welcome(CAPACITY),
        |request| {
            let mut answer = granted(request, grant(3, 9), u64::MAX - 8);
            answer.truncate(answer.len());
            answer
        },
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let error = acquired(answer).await.unwrap_err();
        assert!(matches!(error, LaneError::Protocol { .. }), "{index}: {error}");
    }
    let cut = acquired(|request| granted(request, grant(3, 9), 0)[..30].to_vec());
    let cut = tokio::time::timeout(Duration::from_millis(200), cut).await;
    assert!(cut.is_err(), "half an answer is waited for");
}

#[tokio::test]
async fn more_answers_than_keys_are_not_taken() {
    let found = acquired(|request| {
        let mut leases = LeasesWriter::begin(Vec::new(), request);
        for _ in 0..3 {
            leases.refused(LeaseStatus::Absent);
        }
        leases.finish(LIMIT)
    });
    assert!(matches!(found.await.unwrap()[..], [AcquireOutcome::Absent]));
}

#[tokio::test]
async fn a_commit_does_not_wait_for_a_connection_that_was_found_closed_meanwhile() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let peer = Peer::serving(move |stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let request = read_frame(&mut &stream);
        let mut answer = Vec::new();
        let mut reservations = ReservationsWriter::begin(&mut answer, request, LIMIT);
        for write in [1, 2] {
            let at = Offset::new(write * 4096);
            reservations.granted(write, &[Extent::new(at, ByteSize::new(64))]);
        }
        reservations.finish();
        (&stream).write_all(&answer).unwrap();
        drop(stream);
        closed.send(()).unwrap();
    });
    let lane = open(&peer).await.unwrap();
    let keys = ["a", "b"].map(|key| Key::new(key).unwrap());
    let requested = keys.each_ref().map(|key| (key, ByteSize::new(64)));
    let mut reserved = lane.reserve(&requested, LIMIT).await.unwrap();
    is_closed.recv().unwrap();
    // The connection is closed: the daemon cannot learn that the reservation is given up.
    drop(reserved.pop());
    let left = reserved.pop().unwrap().unwrap();
    let error = lane.commit(vec![(left, Checksum::new(1))], LIMIT).await.unwrap_err();
    assert!(matches!(error, LaneError::Broken { .. }), "{error}");
    assert!(lane.is_broken());
}

#[tokio::test]
async fn a_lane_for_one_call_at_a_time_has_one_connection_whatever_its_calls_wait_for() {
    let (go, gone) = mpsc::channel();
    let peer = Peer::serving(move |stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let request = read_frame(&mut &stream);
        let mut answer = Vec::new();
        let mut reservations = ReservationsWriter::begin(&mut answer, request, LIMIT);
        reservations.granted(1, &[Extent::new(Offset::new(0), ByteSize::new(64))]);
        reservations.finish();
        (&stream).write_all(&answer).unwrap();
        while let Some(arrived) = next_frame(&mut &stream) {
            let frame = Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0;
            let mut answer = Vec::new();
            match Request::decode(&frame).unwrap() {
                Request::Acquire(_) => {
                    gone.recv_timeout(LIMIT).unwrap();
                    answer = absent(frame.request);
                }
                Request::Commit(_) => write_done(&mut answer, frame.request, &[DoneStatus::Done]),
                _ => panic!("nothing else was asked"),
            }
            (&stream).write_all(&answer).unwrap();
        }
    });
    let lane = open(&peer).await.unwrap();
    let key = [Key::new("k").unwrap()];
    let mut reserved = lane.reserve(&[(&key[0], ByteSize::new(64))], LIMIT).await.unwrap();
    let reserved = reserved.pop().unwrap().unwrap();
    let acquire = || {
        let (lane, key) = (lane.clone(), key.clone());
        tokio::spawn(async move { lane.acquire(&key, false, LIMIT, LIMIT, LIMIT).await })
    };
    let first = acquire();
    let elsewhere = lane.clone();
    // Waits for the connection of the first call; the last one waits for any.
    let stored =
        tokio::spawn(
            async move { elsewhere.commit(vec![(reserved, Checksum::new(1))], LIMIT).await },
        );
    let last = acquire();
    tokio::task::yield_now().await;
    for _ in 0..2 {
        go.send(()).unwrap();
    }
    let (first, stored, last) = tokio::join!(first, stored, last);
    let (first, stored, last) = (first.unwrap(), stored.unwrap(), last.unwrap());
    assert!(matches!(first.unwrap()[..], [AcquireOutcome::Absent]));
    assert_eq!(stored.unwrap(), [LanePut::Stored]);
    assert!(matches!(last.unwrap()[..], [AcquireOutcome::Absent]));
}

#[tokio::test]
async fn what_ends_while_its_connection_is_in_use_is_told_without_another_call() {
    let (go, gone) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let peer = Peer::serving(move |stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let request = read_frame(&mut &stream);
        (&stream).write_all(&granted(request, grant(3, 9), 0)).unwrap();
        let request = read_frame(&mut &stream);
        gone.recv_timeout(LIMIT).unwrap();
        (&stream).write_all(&absent(request)).unwrap();
        let arrived = next_frame(&mut &stream).unwrap();
        let frame = Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0;
        let Request::Release { ids, .. } = Request::decode(&frame).unwrap() else { return };
        tell.send(ids.collect::<Vec<_>>()).unwrap();
    });
    let lane = open(&peer).await.unwrap();
    let key = [Key::new("k").unwrap()];
    let leased = lane.acquire(&key, false, LIMIT, LIMIT, LIMIT).await.unwrap();
    let (second, ()) = tokio::join!(lane.acquire(&key, false, LIMIT, LIMIT, LIMIT), async {
        drop(leased);
        go.send(()).unwrap();
    });
    assert!(matches!(second.unwrap()[..], [AcquireOutcome::Absent]));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), [1]);
}

fn absent(request: u64) -> Vec<u8> {
    let mut leases = LeasesWriter::begin(Vec::new(), request);
    leases.refused(LeaseStatus::Absent);
    leases.finish(LIMIT)
}

#[tokio::test]
async fn what_greets_otherwise_than_a_daemon_is_refused() {
    let no_descriptors = Peer::serving(|stream| {
        read_frame(&mut &stream);
        (&stream).write_all(&welcome(CAPACITY)).unwrap();
        let _ = (&stream).read(&mut [0]);
    });
    let error = open(&no_descriptors).await.unwrap_err();
    assert!(matches!(error, LaneError::Protocol { .. }), "{error}");
    let closed = Peer::serving(drop);
    let error = open(&closed).await.unwrap_err();
    assert!(matches!(error, LaneError::Broken { .. }), "{error}");
    let garbage = Peer::serving(|stream| {
        let _ = (&stream).write_all(&[0x55; 4096]);
        let _ = (&stream).read(&mut [0]);
    });
    let error = open(&garbage).await.unwrap_err();
    assert!(matches!(error, LaneError::Protocol { .. }), "{error}");
    let (path, bucket) = ("/nonexistent/socket".as_ref(), BucketName::new("b").unwrap());
    let error = Lane::open(path, bucket, false, TrustedUsers::default(), 1, LIMIT);
    assert!(matches!(error.await.unwrap_err(), LaneError::Broken { .. }));
}

#[tokio::test]
async fn an_arena_that_is_truncated_under_a_write_ends_the_reservation_and_not_the_process() {
    let peer = Peer::serving(|stream| {
        let (generations, arena) = (Generations::create(8).unwrap(), arena());
        greet_with(&stream, &generations, &arena);
        let request = read_frame(&mut &stream);
        arena.set_len(0).unwrap();
        let mut answer = Vec::new();
        let mut reservations = ReservationsWriter::begin(&mut answer, request, LIMIT);
        reservations.granted(1, &[Extent::new(Offset::new(0), ByteSize::new(8192))]);
        reservations.finish();
        (&stream).write_all(&answer).unwrap();
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let lane = open(&peer).await.unwrap();
    let key = Key::new("k").unwrap();
    let reserved = lane.reserve(&[(&key, ByteSize::new(8192))], LIMIT).await.unwrap().pop();
    let reservation = reserved.unwrap().unwrap();
    assert_eq!(reservation.fill([[1; 8192].as_slice()]), None);
    assert!(lane.is_broken());
}

#[tokio::test]
async fn a_socket_of_another_user_is_refused_before_a_byte_is_sent_unless_that_user_is_configured()
{
    let (heard, was_heard) = mpsc::channel();
    let (peer, uid, trusted) = Peer::foreign(move |stream| {
        heard.send((&stream).read(&mut [0]).unwrap()).unwrap();
    });
    match open_as(&peer, trusted).await.unwrap_err() {
        LaneError::Foreign { uid: found, path } => assert_eq!((found, path), (uid, peer.path())),
        error => panic!("{error}"),
    }
    assert_eq!(was_heard.recv_timeout(LIMIT).unwrap(), 0, "it was closed without a byte");
    let (peer, uid, trusted) = Peer::foreign(|stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let _ = (&stream).read(&mut [0]);
    });
    let configured = TrustedUsers { daemon_uid: Some(uid), ..trusted };
    assert!(open_as(&peer, configured).await.is_ok());
}
