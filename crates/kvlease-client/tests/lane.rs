//! The fast lane against peers that are no daemon, or one that lies.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

use std::{
    fs::File,
    io::{IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

use kvlease_api::lane::{
    DoneStatus, FRAME_LEN_MAX, Frame, KEYS_MAX, LeaseGrant, LeaseStatus, LeasesWriter, Request,
    ReservationsWriter, Welcome, write_done, write_renewed,
};
use kvlease_arena::Generations;
use kvlease_client::{
    BucketName, ByteSize, Checksum, ClientConfig, Connector, ConnectorConfig, Extent, Key,
    SocketChoice, View,
    lane::{AcquireOutcome, Lane, LaneError, LanePut},
};
use kvlease_types::{Epoch, Offset};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const CAPACITY: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(20);

/// A socket whose one client is served by a function.
struct Peer {
    dir: tempfile::TempDir,
}

impl Peer {
    fn serving(serve: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    async fn open(&self) -> Result<Lane, LaneError> {
        Lane::open(&self.path(), BucketName::new("b").unwrap(), true, 1, LIMIT).await
    }
}

fn arena() -> File {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    file.set_len(CAPACITY).unwrap();
    file
}

fn welcome(capacity: u64) -> Vec<u8> {
    let mut frame = Vec::new();
    let welcome = Welcome {
        writes: true,
        epoch: Epoch::new(7),
        capacity: ByteSize::new(capacity),
        object_len_max: ByteSize::mib(1),
        lease_ttl_max: LIMIT,
        reservation_ttl: LIMIT,
        keys_max: KEYS_MAX as u32,
        frame_len_max: FRAME_LEN_MAX as u32,
        slots: 8,
    };
    welcome.write(&mut frame, 0);
    frame
}

/// Answers the hello as a daemon does.
fn greet(mut stream: &UnixStream, generations: &Generations) {
    read_frame(&mut stream);
    let arena = arena();
    let descriptors = [arena.as_fd(), generations.descriptor()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let frame = welcome(CAPACITY);
    sendmsg(stream, &[IoSlice::new(&frame)], &mut ancillary, SendFlags::empty()).unwrap();
}

/// The number of the next request.
fn read_frame(stream: &mut &UnixStream) -> u64 {
    let arrived = next_frame(stream).unwrap();
    Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0.request
}

/// The bytes of the next frame; `None` at the end of the stream.
fn next_frame(stream: &mut &UnixStream) -> Option<Vec<u8>> {
    let mut arrived = Vec::new();
    while Frame::split(&arrived, FRAME_LEN_MAX).unwrap().is_none() {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        arrived.push(byte[0]);
    }
    Some(arrived)
}

fn grant(slot: u32, generation: u64) -> LeaseGrant {
    let (checksum, len) = (Checksum::new(1), ByteSize::new(64));
    LeaseGrant { slot, sequence: 1, generation, checksum, len }
}

/// What a client makes of these bytes in answer to an acquire of one key.
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
    let lane = peer.open().await.unwrap();
    lane.acquire(&[Key::new("k").unwrap()], false, LIMIT, LIMIT, LIMIT).await
}

fn granted(request: u64, grant: LeaseGrant, at: u64) -> Vec<u8> {
    let mut leases = LeasesWriter::begin(Vec::new(), request);
    leases.granted(&grant, &[Extent::new(Offset::new(at), grant.len)]);
    leases.finish(LIMIT)
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
    let lane = peer.open().await.unwrap();
    let keys = ["a", "b"].map(|key| Key::new(key).unwrap());
    let wishes = keys.each_ref().map(|key| (key, ByteSize::new(64)));
    let mut reserved = lane.reserve(&wishes, LIMIT).await.unwrap();
    is_closed.recv().unwrap();
    // That it is given up cannot be told to anybody.
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
    let lane = peer.open().await.unwrap();
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
    let lane = peer.open().await.unwrap();
    let key = [Key::new("k").unwrap()];
    let leased = lane.acquire(&key, false, LIMIT, LIMIT, LIMIT).await.unwrap();
    let (second, ()) = tokio::join!(lane.acquire(&key, false, LIMIT, LIMIT, LIMIT), async {
        drop(leased);
        go.send(()).unwrap();
    });
    assert!(matches!(second.unwrap()[..], [AcquireOutcome::Absent]));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), [1]);
}

#[test]
fn a_view_can_be_made_when_the_runtime_of_its_lease_has_ended() {
    let peer = Peer::serving(|stream| {
        greet(&stream, &Generations::create(8).unwrap());
        let request = read_frame(&mut &stream);
        (&stream).write_all(&granted(request, grant(3, 9), 0)).unwrap();
        // Until the client has closed.
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let connector = connector(&peer);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(connector.open(&Key::new("k").unwrap(), 0));
    drop(runtime);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(opened.unwrap().unwrap().into_view().is_ok()));
    assert!(is_done.recv_timeout(LIMIT).unwrap());
}

#[tokio::test]
async fn a_lane_that_is_opened_while_its_connector_closes_is_closed_as_well() {
    let (asked, is_asked) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let (closed, is_closed) = mpsc::channel();
    let peer = Peer::serving(move |stream| {
        asked.send(()).unwrap();
        gone.recv_timeout(LIMIT).unwrap();
        greet(&stream, &Generations::create(8).unwrap());
        let _ = (&stream).read_to_end(&mut Vec::new());
        closed.send(()).unwrap();
    });
    let connector = connector(&peer);
    let key = Key::new("k").unwrap();
    let (found, ()) = tokio::join!(connector.exists(&key), async {
        is_asked.recv_timeout(LIMIT).unwrap();
        connector.close().await;
        go.send(()).unwrap();
    });
    // Nobody serves HTTP here.
    assert!(found.is_err());
    is_closed.recv_timeout(LIMIT).unwrap();
    assert!(!connector.is_fast());
}

fn absent(request: u64) -> Vec<u8> {
    let mut leases = LeasesWriter::begin(Vec::new(), request);
    leases.refused(LeaseStatus::Absent);
    leases.finish(LIMIT)
}

/// A connector that knows nothing but the peer.
fn connector(peer: &Peer) -> Connector {
    let mut config = ConnectorConfig::new(ClientConfig::new("127.0.0.1:1".parse().unwrap()));
    config.socket = SocketChoice::At(peer.path());
    Connector::new(config)
}

#[tokio::test]
async fn what_greets_otherwise_than_a_daemon_is_refused() {
    let no_descriptors = Peer::serving(|stream| {
        read_frame(&mut &stream);
        (&stream).write_all(&welcome(CAPACITY)).unwrap();
        let _ = (&stream).read(&mut [0]);
    });
    let error = no_descriptors.open().await.unwrap_err();
    assert!(matches!(error, LaneError::Protocol { .. }), "{error}");
    let closed = Peer::serving(drop);
    let error = closed.open().await.unwrap_err();
    assert!(matches!(error, LaneError::Broken { .. }), "{error}");
    let garbage = Peer::serving(|stream| {
        let _ = (&stream).write_all(&[0x55; 4096]);
        let _ = (&stream).read(&mut [0]);
    });
    let error = garbage.open().await.unwrap_err();
    assert!(matches!(error, LaneError::Protocol { .. }), "{error}");
    let error =
        Lane::open("/nonexistent/socket".as_ref(), BucketName::new("b").unwrap(), false, 1, LIMIT);
    assert!(matches!(error.await.unwrap_err(), LaneError::Broken { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_views_of_a_batch_are_renewed_together_for_as_long_as_they_are_there() {
    let short = Duration::from_millis(20);
    let (tell, told) = mpsc::channel();
    let peer = Peer::serving(move |stream| {
        let generations = Generations::create(8).unwrap();
        generations.set(3, 9);
        greet(&stream, &generations);
        let mut leases = LeasesWriter::begin(Vec::new(), read_frame(&mut &stream));
        for sequence in 1..=3 {
            let grant = LeaseGrant { sequence, ..grant(3, 9) };
            leases.granted(&grant, &[Extent::new(Offset::new(0), grant.len)]);
        }
        (&stream).write_all(&leases.finish(short)).unwrap();
        while let Some(arrived) = next_frame(&mut &stream) {
            let frame = Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0;
            let Request::Renew { ids, .. } = Request::decode(&frame).unwrap() else { continue };
            let mut answer = Vec::new();
            write_renewed(&mut answer, frame.request, short, &vec![DoneStatus::Done; ids.len()]);
            // Whoever listened may have heard enough.
            let _ = tell.send(ids.collect::<Vec<_>>());
            let _ = (&stream).write_all(&answer);
        }
    });
    let connector = connector(&peer);
    let keys: Vec<Key> = ["a", "b", "c"].map(|key| Key::new(key).unwrap()).into();
    let opened = connector.batched_open(&keys, 0).await;
    let view = |opened: Result<Option<_>, _>| -> Option<View> {
        let object: kvlease_client::OpenObject = opened.unwrap().unwrap();
        Some(object.into_view().unwrap())
    };
    let mut views: Vec<_> = opened.into_iter().map(view).collect();
    let next = || told.recv_timeout(LIMIT).unwrap();
    while next() != [1, 2, 3] {}
    views[1] = None;
    while next() != [1, 3] {}
    assert_eq!(next(), [1, 3]);
}
