//! The limits of a client, counted by the daemon.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod peer;
#[expect(dead_code, reason = "not all of the peer is needed here")]
#[path = "peer/raw.rs"]
mod raw;

use std::time::Duration;

use kvlease_http::{BreakerState, Client, Error, PutBody};
use kvlease_types::Key;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};

use peer::{Peer, reply};
use raw::{Act, RawPeer};

const LONG: Duration = Duration::from_secs(600);

/// Time enough for calls that should wait to be seen if they do not.
const SETTLE: Duration = Duration::from_millis(50);

fn key() -> Key {
    Key::new("k").unwrap()
}

/// A peer that never answers those requests, and a client's settings that wait for ever.
async fn silent_to(methods: &'static [&'static str]) -> Peer {
    let mut peer = Peer::start(|line| {
        let is_ignored = methods.iter().any(|method| line.starts_with(method));
        if is_ignored { None } else { reply(200, "answer") }
    })
    .await;
    peer.config.timeouts.call = LONG;
    peer.config.timeouts.transfer = LONG;
    peer.config.timeouts.stall = LONG;
    peer
}

fn heads(client: &Client, count: usize) -> Vec<JoinHandle<()>> {
    let head = |client: Client| async move { drop(client.head(&key()).await) };
    (0..count).map(|_| tokio::spawn(head(client.clone()))).collect()
}

fn gets(client: &Client, count: usize) -> Vec<JoinHandle<()>> {
    let get = |client: Client| async move { drop(client.get(&key()).await) };
    (0..count).map(|_| tokio::spawn(get(client.clone()))).collect()
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_requests_max_and_than_connections_max() {
    for (requests_max, connections_max) in [(3, 100), (100, 3), (0, 5), (5, 0)] {
        let mut peer = silent_to(&["HEAD"]).await;
        peer.config.requests_max = requests_max;
        peer.config.connections_max = connections_max;
        let limit = requests_max.min(connections_max).max(1);
        let client = peer.client();
        let calls = heads(&client, 4 * limit);
        peer.wait_for_many("HEAD", limit).await;
        sleep(SETTLE).await;
        assert_eq!((peer.count("HEAD"), peer.connections()), (limit, limit));
        // Each call that ends makes room for one.
        let mut under_way = calls.into_iter();
        for ended in 1..=limit {
            under_way.next().unwrap().abort();
            peer.wait_for_many("HEAD", limit + ended).await;
        }
        sleep(SETTLE).await;
        assert_eq!(peer.count("HEAD"), 2 * limit);
        under_way.for_each(|call| call.abort());
    }
}

#[tokio::test]
async fn transfers_leave_a_quarter_of_the_turns_to_leases() {
    for (requests_max, transfers_max) in [(4, 3), (8, 6), (10, 8)] {
        let mut peer = silent_to(&["GET", "PUT"]).await;
        peer.config.requests_max = requests_max;
        let client = peer.client();
        let calls = gets(&client, 2 * requests_max);
        peer.wait_for_many("GET", transfers_max).await;
        let put = client.clone();
        let put = tokio::spawn(async move { drop(put.put(&key(), "bytes").await) });
        // All of these are answered while every transfer is stuck.
        for _ in 0..50 {
            client.head(&key()).await.unwrap();
        }
        assert_eq!((peer.count("GET"), peer.count("PUT")), (transfers_max, 0));
        calls.iter().chain([&put]).for_each(JoinHandle::abort);
    }
}

#[tokio::test]
async fn a_single_turn_is_good_for_transfers_as_well() {
    let mut peer = silent_to(&[]).await;
    peer.config.requests_max = 1;
    let client = peer.client();
    client.put(&key(), "bytes").await.unwrap();
    client.get(&key()).await.unwrap().unwrap();
    client.head(&key()).await.unwrap();
}

#[tokio::test]
async fn waiting_for_a_turn_ends_with_the_call_s_time_and_says_nothing_of_the_daemon() {
    let mut peer = silent_to(&["GET"]).await;
    peer.config.requests_max = 1;
    peer.config.timeouts.call = Duration::from_millis(30);
    let client = peer.client();
    let stuck = gets(&client, 1);
    peer.wait_for("GET").await;
    for _ in 0..5 {
        let error = client.head(&key()).await.unwrap_err();
        assert!(matches!(error, Error::PoolTimeout { at_a_time: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("raise `requests_max`"), "{error}");
    }
    assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 });
    assert_eq!((client.counters().calls_without_permit, peer.count("HEAD")), (5, 0));
    stuck[0].abort();
    client.ping().await.unwrap_err();
}

#[tokio::test]
async fn a_stream_has_its_turn_until_it_ends_or_is_dropped() {
    let mut peer = Peer::start(|_| reply(200, "123456789")).await;
    peer.config.requests_max = 1;
    let client = peer.client();
    let mut stream = client.get(&key()).await.unwrap().unwrap();
    assert!(timeout(SETTLE, client.head(&key())).await.is_err(), "it waits for its turn");
    assert_eq!(peer.count("HEAD"), 0);
    while stream.next().await.unwrap().is_some() {}
    client.head(&key()).await.unwrap();
    let dropped = client.get(&key()).await.unwrap().unwrap();
    drop((stream, dropped));
    client.head(&key()).await.unwrap();
}

#[tokio::test]
async fn the_time_of_a_call_is_over_wherever_it_is_stuck() {
    let short = Duration::from_millis(30);
    for part in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12"] {
        let mut peer = RawPeer::start(move |_| Act::AnswerAndHang(part)).await;
        peer.config.timeouts.call = short;
        peer.config.timeouts.transfer = short;
        let client = peer.client();
        let error = client.lease(&key(), Duration::ZERO, LONG).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { operation: "lease", .. }), "{error:?}");
        let error = match client.get(&key()).await {
            Ok(stream) => read_all(stream.unwrap()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::TimedOut { operation: "get", .. }), "{error:?}");
        // The sockets take a part of this, and the peer none.
        let body = vec![1; 64 << 20];
        let error = client.put(&key(), body).await.map(drop).map_or_else(Some, |()| None);
        if let Some(error) = error {
            assert!(matches!(error, Error::TimedOut { operation: "put", .. }), "{error:?}");
        }
    }
}

async fn read_all(mut stream: kvlease_http::ObjectStream) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_body_of_unknown_length_arrives_in_pieces_no_longer_than_set() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = peer::patient(kvlease_http::ClientConfig::new(
        listener.local_addr().unwrap().to_string().parse().unwrap(),
    ));
    config.put_piece_len = 1000;
    let client = Client::new(config);
    let body = PutBody::reader(std::io::Cursor::new(vec![b'x'; 10_500]), None);
    let put = tokio::spawn(async move { client.put(&key(), body).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut arrived = Vec::new();
    while !arrived.ends_with(b"\r\n0\r\n\r\n") {
        assert!(stream.read_buf(&mut arrived).await.unwrap() > 0);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    put.await.unwrap().unwrap();
    let text = String::from_utf8(arrived).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let sizes = body.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with('x'));
    let sizes: Vec<_> = sizes.map(|line| usize::from_str_radix(line, 16).unwrap()).collect();
    assert_eq!(sizes, [[1000; 10].as_slice(), &[500, 0]].concat());
}

#[tokio::test]
async fn a_transfer_that_stalls_ends_long_before_its_time_limit() {
    let stall = Duration::from_millis(200);
    // Taken and not answered; a head without its body; a body that ends early.
    let (mut silent, mut hanging) = (silent_to(&["PUT", "GET"]).await, {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        RawPeer::start(move |_| Act::AnswerAndHang(head)).await
    });
    for config in [&mut silent.config, &mut hanging.config] {
        config.timeouts.transfer = LONG;
        config.timeouts.stall = stall;
    }
    let is_stall = |error: Error| match error {
        Error::TimedOut { limit, .. } => assert_eq!(limit, stall),
        error => panic!("{error}"),
    };
    is_stall(silent.client().put(&key(), "bytes").await.unwrap_err());
    is_stall(silent.client().get(&key()).await.unwrap_err());
    is_stall(hanging.client().put(&key(), "bytes").await.unwrap_err());
    let half_read = || async {
        let mut stream = hanging.client().get(&key()).await?.unwrap();
        assert_eq!(stream.next().await?.unwrap(), "half");
        Ok(stream)
    };
    // What the peer sends at once may be late as well.
    let mut stream = loop {
        match half_read().await {
            Ok(stream) => break stream,
            Err(error) => is_stall(error),
        }
    };
    is_stall(stream.next().await.unwrap_err());
}

#[tokio::test]
async fn a_source_that_takes_its_time_is_no_stall() {
    let mut peer = Peer::start(|_| reply(200, "")).await;
    let stall = Duration::from_millis(200);
    peer.config.timeouts.stall = stall;
    // The peer itself may be held up as long: of many puts one is taken.
    for tries in 1.. {
        let (mut source, body) = tokio::io::duplex(16);
        let writer = tokio::spawn(async move {
            for part in ["slow", "ly"] {
                sleep(2 * stall).await;
                // Nothing reads it if the put was given up.
                let _ = source.write_all(part.as_bytes()).await;
            }
        });
        let put = peer.client().put(&key(), PutBody::reader(body, None)).await;
        writer.await.unwrap();
        match put {
            Ok(_) => break,
            Err(error) => assert!(tries < 20, "{error}"),
        }
    }
    assert_eq!(peer.asked().last().unwrap().1, "slowly");
}
