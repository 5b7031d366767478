//! The connector over the fast lane, against peers that are no daemon.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[path = "../../kvlease-lane/tests/peer/mod.rs"]
mod peer;

use std::{
    io::{Read, Write},
    sync::mpsc,
    thread,
    time::Duration,
};

use kvlease_api::lane::{
    DoneStatus, FRAME_LEN_MAX, Frame, LeaseGrant, LeasesWriter, Request, write_renewed,
};
use kvlease_arena::Generations;
use kvlease_connector::{Connector, ConnectorConfig, OpenObject, SocketChoice, View};
use kvlease_http::{ClientConfig, Error};
use kvlease_sys::ExternalBuffer;
use kvlease_types::{Extent, Key, Offset};

use peer::{LIMIT, Peer, arena, grant, granted, greet, greet_with, next_frame, read_frame};

/// Time in which a lane of these tests is open.
const OPEN_MAX: Duration = Duration::from_secs(10);

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
    // No daemon serves HTTP here.
    assert!(found.is_err());
    is_closed.recv_timeout(LIMIT).unwrap();
    assert!(!connector.is_fast());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_views_of_a_batch_are_renewed_together_for_as_long_as_they_are_there() {
    // Renewed when half of it is over: no machine is held up for as long.
    let short = Duration::from_secs(4);
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
            // The test may have ended by now.
            let _ = tell.send(ids.collect::<Vec<_>>());
            let _ = (&stream).write_all(&answer);
        }
    });
    let connector = connector(&peer);
    let keys: Vec<Key> = ["a", "b", "c"].map(|key| Key::new(key).unwrap()).into();
    let opened = connector.batched_open(&keys, 0).await;
    let view = |opened: Result<Option<_>, _>| -> Option<View> {
        let object: OpenObject = opened.unwrap().unwrap();
        Some(object.into_view().unwrap())
    };
    let mut views: Vec<_> = opened.into_iter().map(view).collect();
    let next = || told.recv_timeout(LIMIT).unwrap();
    while next() != [1, 2, 3] {}
    views[1] = None;
    while next() != [1, 3] {}
}

#[tokio::test]
async fn a_socket_that_another_user_listens_on_is_not_taken_and_told_of_once() {
    let (peer, uid, trusted) = Peer::foreign(|stream| {
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let mut config = config(&peer);
    config.client.trusted = trusted;
    let connector = Connector::new(config);
    let key = Key::new("k").unwrap();
    // No daemon serves HTTP here.
    assert!(connector.get(&key).await.is_err() && connector.get(&key).await.is_err());
    assert!(!connector.is_fast());
    let notice = connector.take_notice().unwrap().text;
    let socket = format!("socket=`{}`", peer.path().display());
    for part in ["kvlease_daemon_uid", &format!("uid=`{uid}`"), &socket] {
        assert!(notice.contains(part), "{notice}");
    }
    assert_eq!(connector.take_notice(), None);
}

#[tokio::test]
async fn a_lane_of_another_incarnation_than_answers_over_http_is_not_taken() {
    // The peer's epoch is 7.
    for (epoch, is_taken) in [
        (Some("0000000000000008"), false),
        (Some("0000000000000007"), true),
        // A daemon of an earlier release.
        (None, true),
    ] {
        // It closes at once, so that a lane that is taken breaks.
        let peer = Peer::serving(|stream| greet(&stream, &Generations::create(8).unwrap()));
        let mut config = config(&peer);
        let header = epoch.map(|epoch| format!("kvlease-epoch: {epoch}\r\n"));
        let address = absent_everywhere(header.unwrap_or_default(), usize::MAX);
        config.client.address = address.parse().unwrap();
        let connector = Connector::new(config);
        let _ = connector.exists(&Key::new("k").unwrap()).await;
        let notice = connector.take_notice().unwrap().text;
        assert_eq!(notice.starts_with("taking the daemon's fast lane"), is_taken, "{notice}");
        assert_eq!(notice.contains("epoch=`0000000000000007`"), !is_taken, "{notice}");
    }
}

#[tokio::test]
async fn what_a_daemon_announced_before_it_went_says_nothing_of_the_next_one() {
    let peer = Peer::serving(|stream| greet(&stream, &Generations::create(8).unwrap()));
    let socket = peer.path();
    let headers =
        format!("kvlease-epoch: 0000000000000008\r\nkvlease-socket: {}\r\n", socket.display());
    let address = absent_everywhere(headers, 1);
    let mut config = config(&peer);
    config.client.address = address.parse().unwrap();
    config.socket = SocketChoice::Announced;
    let connector = Connector::new(config);
    let key = Key::new("k").unwrap();
    assert!(!connector.exists(&key).await.unwrap());
    assert!(connector.exists(&key).await.is_err());
    let notice = connector.take_notice().unwrap().text;
    assert!(notice.contains("no daemon answers over http to compare with"), "{notice}");
    assert!(notice.contains("epoch=`0000000000000007`"), "{notice}");
}

#[tokio::test]
async fn an_arena_that_is_truncated_under_a_copy_ends_the_read_and_not_the_process() {
    let peer = Peer::serving(|stream| {
        let (generations, arena) = (Generations::create(8).unwrap(), arena());
        generations.set(3, 9);
        greet_with(&stream, &generations, &arena);
        let request = read_frame(&mut &stream);
        arena.set_len(0).unwrap();
        (&stream).write_all(&granted(request, grant(3, 9), 0)).unwrap();
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let connector = connector(&peer);
    let object = connector.open(&Key::new("k").unwrap(), 0).await.unwrap().unwrap();
    assert!(connector.is_fast());
    let (mut buffer, _) = ExternalBuffer::of_vec(vec![0; 64]);
    let error = object.read_rest_here(&mut buffer).unwrap_err();
    assert!(matches!(error, Error::LeaseEnded { .. }), "{error}");
    assert!(!connector.is_fast(), "the lane is opened anew");
}

/// Address of a daemon that has no object. It answers as often as said, with these headers, and is
/// gone then.
fn absent_everywhere(headers: String, answers: usize) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().take(answers) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 404 Not Found\r\n{headers}connection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn config(peer: &Peer) -> ConnectorConfig {
    let mut config = ConnectorConfig::new(ClientConfig::new("127.0.0.1:1".parse().unwrap()));
    // Far more than a lane takes. What goes over HTTP in the end waits so long for a daemon that is not there.
    let timeouts = &mut config.client.timeouts;
    (timeouts.connect, timeouts.call, config.lane_open_max) = (OPEN_MAX, 4 * OPEN_MAX, OPEN_MAX);
    config.socket = SocketChoice::At(peer.path());
    config
}

/// A connector that knows nothing but the peer.
fn connector(peer: &Peer) -> Connector {
    Connector::new(config(peer))
}
