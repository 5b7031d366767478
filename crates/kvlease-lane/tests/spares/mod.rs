//! Reservations ahead of need: how many exchanges a put takes, and when they are given back.

mod posted;

use std::{
    io::{Read, Write},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use kvlease_api::lane::{
    DoneStatus, FRAME_LEN_MAX, Failure, FailureCode, Frame, Request, ReservationsWriter,
    ReserveStatus, write_done, write_failure,
};
use kvlease_arena::Generations;
use kvlease_lane::{Lane, LanePut};
use kvlease_testing::in_time;
use kvlease_types::{ByteSize, Extent, Key, Offset};

use super::{
    open,
    peer::{CAPACITY, LIMIT, Peer, greet},
};

const LEN: usize = 5_000;
/// Length of what the daemon gives out, at least.
const ROUNDED: u64 = 16 << 10;
/// Number of places for objects in the arena.
const PLACES: u64 = CAPACITY / ROUNDED;

/// Answers of the daemon to questions for spare reservations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Grants,
    /// The first question is granted, the others are not.
    RunsOut,
    /// It is of a release before.
    Unknown,
    /// At most [`SHARE`] are open.
    Limited,
    /// The daemon closes the connection when it is to store an object.
    Closes,
}

/// Time without a put after which a lane gives its spare reservations back.
const KEPT: Duration = Duration::from_secs(1);

/// Spare reservations that a limited daemon has for its client.
const SHARE: u64 = 3;

/// Reservations of the daemon.
#[derive(Default)]
struct Reserved {
    /// Number of the last one.
    last: u64,
    /// Number of open spare reservations.
    spares: u64,
}

/// Peer that grants what it is asked for, and tells of each request.
fn daemon(answers: Answers, stores: DoneStatus) -> (Peer, Receiver<String>) {
    daemon_that_waits(answers, stores, channel().1)
}

/// The same, which waits for `go` before it answers a request to store a held object.
fn daemon_that_waits(
    answers: Answers,
    stores: DoneStatus,
    go: Receiver<()>,
) -> (Peer, Receiver<String>) {
    let (tell, told) = channel();
    let peer = Peer::serving(move |stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let (mut reserved, mut arrived) = (Reserved::default(), Vec::new());
        let mut bytes = vec![0; FRAME_LEN_MAX];
        // As the daemon does: what arrived together is answered together.
        while let Ok(len @ 1..) = (&stream).read(&mut bytes) {
            arrived.extend(&bytes[..len]);
            let mut out = Vec::new();
            while let Some((frame, len)) = Frame::split(&arrived, FRAME_LEN_MAX).unwrap() {
                let request = answer(&frame, (answers, stores), &mut reserved, &mut out);
                if answers == Answers::Closes && request.starts_with("store") {
                    return;
                }
                if request.starts_with("store held") {
                    go.recv_timeout(LIMIT).unwrap();
                }
                // The test may have ended by now.
                let _ = tell.send(request);
                arrived.drain(..len);
            }
            let _ = (&stream).write_all(&out);
        }
    });
    (peer, told)
}

/// Answers a request, and describes it.
fn answer(
    frame: &Frame<'_>,
    (answers, stores): (Answers, DoneStatus),
    Reserved { last, spares }: &mut Reserved,
    out: &mut Vec<u8>,
) -> String {
    let is_first = *last <= 2;
    let mut granted = |answer: &mut ReservationsWriter<'_>, len: ByteSize| {
        *last += 1;
        // The arena has room for some of them: nothing is read.
        let at = Offset::new(*last % PLACES * ROUNDED);
        answer.granted(*last, &[Extent::new(at, len)]);
    };
    match Request::decode(frame).unwrap() {
        Request::Reserve(reserve) => {
            let mut answer = ReservationsWriter::begin(out, frame.request, LIMIT);
            reserve.objects.for_each(|object| granted(&mut answer, object.len));
            answer.finish();
            "reserve".to_owned()
        }
        Request::Commit(_) => {
            write_done(out, frame.request, &[DoneStatus::Done]);
            "commit".to_owned()
        }
        Request::Prepare(lengths) if answers == Answers::Unknown => {
            let failure = Failure { code: FailureCode::UnknownKind, text: "no such request" };
            write_failure(out, frame.request, &failure);
            format!("prepare {}", lengths.len())
        }
        Request::Prepare(lengths) => {
            let count = lengths.len();
            let mut answer = ReservationsWriter::begin(out, frame.request, LIMIT);
            for len in lengths {
                assert_eq!(len.bytes() % 4_096, 0);
                match answers {
                    Answers::RunsOut if !is_first => answer.refused(ReserveStatus::NoSpace),
                    Answers::Limited if *spares >= SHARE => {
                        answer.refused(ReserveStatus::TooManyReservations);
                    }
                    _ => {
                        *spares += 1;
                        granted(&mut answer, len);
                    }
                }
            }
            answer.finish();
            format!("prepare {count}")
        }
        Request::Store(mut store) => {
            let object = store.objects.next().unwrap();
            assert_eq!(store.bucket, "b");
            let status = if object.key.starts_with("late") { DoneStatus::Expired } else { stores };
            *spares -= u64::from(!matches!(status, DoneStatus::Exists));
            write_done(out, frame.request, &[status]);
            format!("store {} {}", object.key, object.write)
        }
        Request::Abort { ids, silent: true } => format!("abort {:?}", ids.collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    }
}

/// Stores an object as the connector does, and returns the requests that the daemon got.
async fn put(lane: &Lane, key: &str, told: &Receiver<String>) -> (LanePut, Vec<String>) {
    put_bytes(lane, key, &[7; LEN], told).await
}

async fn put_bytes(
    lane: &Lane,
    key: &str,
    bytes: &[u8],
    told: &Receiver<String>,
) -> (LanePut, Vec<String>) {
    let (key, len) = (Key::new(key).unwrap(), ByteSize::new(bytes.len() as u64));
    let stored = lane.store(&key, &[&bytes[..10], &bytes[10..]], LIMIT).await.unwrap();
    let outcome = match stored {
        Some(outcome) => outcome,
        None => {
            let reserved = lane.reserve(&[(&key, len)], LIMIT).await.unwrap().pop();
            let reservation = reserved.unwrap().unwrap();
            let checksum = reservation.fill([bytes]).unwrap();
            lane.commit(vec![(reservation, checksum)], LIMIT).await.unwrap()[0]
        }
    };
    // The daemon tells of a request before it answers.
    (outcome, told.try_iter().collect())
}

#[tokio::test]
async fn a_put_of_a_length_that_was_put_lately_takes_one_exchange() {
    let seen = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::Grants, DoneStatus::Done);
        let lane = open(&peer).await.unwrap();
        let mut seen = Vec::new();
        for key in ["a", "b", "c", "d", "e"] {
            let (outcome, requests) = put(&lane, key, &told).await;
            assert_eq!(outcome, LanePut::Stored);
            seen.extend(requests);
        }
        drop(lane);
        seen.extend(std::iter::from_fn(|| told.recv_timeout(LIMIT).ok()));
        seen
    })
    .await;
    let expected = [
        "reserve",
        "commit",
        "reserve",
        "commit",
        "prepare 1",
        "store c 3",
        "prepare 1",
        "store d 4",
        "prepare 1",
        "store e 5",
        "prepare 1",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_daemon_of_an_earlier_release_is_asked_for_spares_once() {
    let seen = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::Unknown, DoneStatus::Done);
        let lane = open(&peer).await.unwrap();
        let mut seen = Vec::new();
        for key in ["a", "b", "c", "d"] {
            let (outcome, requests) = put(&lane, key, &told).await;
            assert_eq!(outcome, LanePut::Stored);
            seen.extend(requests);
        }
        seen
    })
    .await;
    let questions = seen.iter().filter(|request| request.starts_with("prepare"));
    assert_eq!((questions.count(), seen.len()), (1, 9), "{seen:?}");
}

#[tokio::test]
async fn a_spare_whose_key_exists_is_used_for_another_object() {
    let (outcomes, seen, rest) = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::Grants, DoneStatus::Exists);
        let lane = open(&peer).await.unwrap();
        let (mut outcomes, mut seen) = (Vec::new(), Vec::new());
        for key in ["a", "b", "c", "d"] {
            let (outcome, requests) = put(&lane, key, &told).await;
            outcomes.push(outcome);
            seen.extend(requests.into_iter().filter(|request| request.starts_with("store")));
        }
        drop(lane);
        let rest: Vec<_> = std::iter::from_fn(|| told.recv_timeout(LIMIT).ok()).collect();
        (outcomes, seen, rest)
    })
    .await;
    use LanePut::{Exists, Stored};
    assert_eq!(outcomes, [Stored, Stored, Exists, Exists]);
    // The one that is left of the first answer, or of the second, in any order.
    assert_eq!(seen.len(), 2);
    assert!(rest.iter().all(|request| !request.starts_with("abort")), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spares_that_are_not_used_are_given_back() {
    let (_peer, _lane, told) = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::Grants, DoneStatus::Done);
        let lane = open(&peer).await.unwrap();
        for key in ["a", "b", "c"] {
            put(&lane, key, &told).await;
        }
        (peer, lane, told)
    })
    .await;
    // No other call is made. The answer to the last question was not looked at.
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), "abort [4]");
}

#[tokio::test]
async fn all_spares_are_given_back_when_the_daemon_has_no_space_for_one() {
    let seen = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::RunsOut, DoneStatus::Done);
        let lane = open(&peer).await.unwrap();
        for key in ["a", "b"] {
            put(&lane, key, &told).await;
        }
        let mut seen = Vec::new();
        for key in ["c", "d", "e"] {
            seen.extend(put_bytes(&lane, key, &[7; 2 * LEN], &told).await.1);
        }
        seen
    })
    .await;
    let expected =
        ["reserve", "commit", "reserve", "commit", "prepare 1", "abort [3]", "reserve", "commit"];
    assert_eq!(seen, expected);
}
