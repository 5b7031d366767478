//! Errors of the client with a daemon that is broken, gone, slow, or another one.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

mod peer;

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http_body_util::Full;
use hyper::Response;
use kvlease_api::CHECKSUM_HEADER;
use kvlease_http::{Client, ClientConfig, Error, PutBody, PutOutcome};
use kvlease_sys::Digest;
use kvlease_types::Key;
use tokio::net::TcpSocket;

use peer::{Peer, patient, reply};

const WAIT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(30);

fn key() -> Key {
    Key::new("org/model@1%").unwrap()
}

/// A peer that grants every lease with this reply and takes every release.
async fn granting(lease: &'static str) -> Peer {
    Peer::start(move |line| match line.contains("/release") {
        true => reply(200, ""),
        false => reply(200, lease),
    })
    .await
}

#[tokio::test]
async fn replies_that_are_no_leases_are_protocol_errors() {
    for lease in [
        "",
        "[]",
        r#"{"id":"a-1"}"#,
        r#"{"id":"a-1","offsets":[{"offset":-1,"len":1}]}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":1}],"checksum":"xyz"}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":1}],"ttl_s":-4}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":18446744073709551615},{"offset":0,"len":1}]}"#,
    ] {
        let peer = granting(lease).await;
        let error = peer.client().lease(&key(), WAIT, TTL).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{lease}: {error:?}");
    }
}

#[tokio::test]
async fn numbers_that_are_none_of_memory_are_errors_that_name_the_key_and_the_lease_is_released() {
    for lease in [
        r#"{"id":"a-1","offsets":[{"offset":-1,"len":1}]}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":-1}]}"#,
        r#"{"id":"a-1","offsets":[{"offset":1e30,"len":1}]}"#,
        r#"{"id":"a-1","offsets":[{"offset":18446744073709551616,"len":1}]}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":1}],"ttl_s":1e300}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":1}],"checksum":"-1"}"#,
        r#"{"id":"a-1","offsets":[{"offset":0,"len":18446744073709551615},{"offset":0,"len":1}]}"#,
    ] {
        let peer = granting(lease).await;
        let error = peer.client().lease(&key(), WAIT, TTL).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{lease}: {error:?}");
        assert!(error.to_string().contains("key=`org/model@1%`"), "{error}");
        peer.wait_for("POST /v1/leases/a-1/release").await;
    }
}

#[tokio::test]
async fn a_lease_that_is_not_json_by_its_content_type_is_refused() {
    for (content_type, is_good) in [
        (Some("application/json"), true),
        (Some("application/json; charset=utf-8"), true),
        (Some("text/html"), false),
        (Some("application/jsonp"), false),
        (None, false),
    ] {
        let peer = Peer::start(move |_| {
            let builder = Response::builder();
            let builder = match content_type {
                Some(value) => builder.header("content-type", value),
                None => builder,
            };
            let body = r#"{"id":"a-1","offsets":[{"offset":0,"len":9}]}"#;
            Some(builder.body(Full::from(body)).unwrap())
        });
        match peer.await.client().lease(&key(), WAIT, TTL).await {
            Ok(lease) => assert!(is_good && lease.is_some(), "{content_type:?}"),
            Err(error) => assert!(!is_good && error.to_string().contains("application/json")),
        }
    }
}

#[tokio::test]
async fn a_release_in_the_background_is_tried_twice_and_counted() {
    for (refusals, released, left) in [(0, 1, 0), (1, 1, 0), (2, 0, 1)] {
        let seen = AtomicUsize::new(0);
        let peer = Peer::start(move |line| match line.contains("/release") {
            true if seen.fetch_add(1, Ordering::Relaxed) < refusals => reply(503, ""),
            true => reply(200, ""),
            false => reply(200, r#"{"id":"a-1","offsets":[{"offset":0,"len":9}]}"#),
        })
        .await;
        let client = peer.client();
        drop(client.lease(&key(), WAIT, TTL).await.unwrap().unwrap());
        for _ in 0..2_000 {
            let counters = client.counters();
            if counters.leases_released + counters.leases_left > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let counters = client.counters();
        let counted = (counters.leases_acquired, counters.leases_released, counters.leases_left);
        assert_eq!(counted, (1, released, left), "{refusals} refusals");
        assert_eq!(peer.count("/release"), (refusals + 1).min(2));
    }
}

#[tokio::test]
async fn a_missing_segment_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ClientConfig::new("127.0.0.1:1".parse().unwrap());
    assert!(matches!(Client::new(config.clone()).attach(), Err(Error::NoSharedMemory)));
    config.shared_memory_name = Some("segment".parse().unwrap());
    config.shared_memory_dir = dir.path().to_owned();
    let error = Client::new(config).attach().unwrap_err();
    assert!(error.to_string().contains("shared_memory_name=`segment`"), "{error}");
}

#[tokio::test]
async fn a_dropped_lease_is_released_and_a_released_one_only_once() {
    let peer = granting(r#"{"id":"a/1","offsets":[{"offset":0,"len":9}]}"#).await;
    let client = peer.client();
    let lease = client.lease(&key(), WAIT, TTL).await.unwrap().unwrap();
    assert_eq!(peer.count("/release"), 0);
    drop(lease);
    peer.wait_for("POST /v1/leases/a%2F1/release").await;
    let lease = client.lease(&key(), WAIT, TTL).await.unwrap().unwrap();
    lease.release().await.unwrap();
    // A second release would be ahead of this call on the only idle connection or beside it.
    client.lease(&key(), WAIT, TTL).await.unwrap().unwrap().release().await.unwrap();
    assert_eq!(peer.count("/release"), 3);
}

#[tokio::test]
async fn every_form_of_a_miss_is_a_miss() {
    let not_found = r#"{"code":"not_found","message":"no such object"}"#;
    for (status, body) in
        [(404, ""), (404, not_found), (504, ""), (200, r#"{"id":"a-1","offsets":[]}"#)]
    {
        let peer = Peer::start(move |_| reply(status, body)).await;
        let lease = peer.client().lease(&key(), WAIT, TTL).await;
        assert!(matches!(lease, Ok(None)), "{status} {body}: {lease:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_a_miss_and_says_what_the_daemon_said() {
    let no_route = r#"{"code":"no_route","message":"no such path"}"#;
    for (status, body, words) in
        [(404, no_route, "no such path"), (503, "busy\n", "busy"), (500, "", "no reason")]
    {
        let peer = Peer::start(move |_| reply(status, body)).await;
        let error = peer.client().lease(&key(), WAIT, TTL).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_silent_daemon_is_given_up() {
    let mut peer = Peer::start(|_| None).await;
    peer.config.timeouts.call = Duration::from_millis(50);
    peer.config.timeouts.transfer = Duration::from_millis(50);
    let client = peer.client();
    let error = client.lease(&key(), Duration::ZERO, TTL).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    let error = client.put(&key(), "bytes").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    // Bound and not listening: no other process gets the port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let client = Client::new(patient(ClientConfig::new(address.parse().unwrap())));
    let error = client.head(&key()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn connections_are_bounded_and_used_again() {
    let mut peer = granting(r#"{"id":"a-1","offsets":[{"offset":0,"len":9}]}"#).await;
    peer.config.connections_max = 2;
    let client = peer.client();
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.head(&key()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(peer.count("HEAD"), 64);
    assert!((1..=2).contains(&peer.connections()), "{} connections", peer.connections());
}

#[tokio::test]
async fn a_connection_that_the_daemon_closes_is_replaced() {
    let peer = Peer::start(|_| {
        let closing = Response::builder().header("connection", "close");
        Some(closing.body(Full::default()).unwrap())
    });
    let peer = peer.await;
    let client = peer.client();
    for _ in 0..5 {
        assert_eq!(client.put(&key(), "bytes").await.unwrap(), PutOutcome::Stored);
    }
    assert_eq!(peer.connections(), 5);
}

#[tokio::test]
async fn a_put_of_unknown_length_arrives_whole_and_a_short_source_stores_nothing() {
    let peer = Peer::start(|_| reply(200, "")).await;
    let client = peer.client();
    let bytes: Vec<u8> =
        (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let body = || io::Cursor::new(bytes.clone());
    let outcome = client.put(&key(), PutBody::reader(body(), None)).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored);
    assert!(peer.asked()[0].1 == bytes);
    let body = PutBody::reader(body(), Some(bytes.len() as u64 + 1));
    let error = client.put(&key(), body).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
}

#[tokio::test]
async fn a_conflict_is_an_outcome_and_no_error() {
    let peer = Peer::start(|_| reply(409, "")).await;
    assert_eq!(peer.client().put(&key(), "bytes").await.unwrap(), PutOutcome::Exists);
}

#[tokio::test]
async fn an_object_over_http_is_checked() {
    for (summed, good) in [("123456789", true), ("123456780", false)] {
        let checksum = Digest::of(summed.as_bytes()).to_string();
        let peer = Peer::start(move |_| {
            let response = Response::builder().header(CHECKSUM_HEADER, &checksum);
            Some(response.body(Full::from("123456789")).unwrap())
        });
        let client = peer.await.client();
        let mut stream = client.get(&key()).await.unwrap().unwrap();
        let mut read = Vec::new();
        let end = loop {
            match stream.next().await {
                Ok(Some(bytes)) => read.extend_from_slice(&bytes),
                end => break end,
            }
        };
        assert_eq!(read, b"123456789");
        match end {
            Ok(_) => assert!(good),
            Err(error) => assert!(!good && matches!(error, Error::Corrupt { .. }), "{error:?}"),
        }
    }
}
