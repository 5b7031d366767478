//! Where requests go, and what the client learns of who answers there.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[expect(dead_code, reason = "not all of the peer is needed here")]
mod peer;

use std::time::Duration;

use kvlease_api::ListedTiers;
use kvlease_http::{Client, ClientConfig, Error};
use kvlease_types::Key;
use tokio::net::TcpSocket;

use peer::{Peer, patient, reply};

const TTL: Duration = Duration::from_secs(30);

fn key() -> Key {
    Key::new("org/model@1").unwrap()
}

#[tokio::test]
async fn every_request_has_the_path_of_the_url_in_front() {
    let mut peer = Peer::start(|line| match line.contains("/leases?") {
        true => reply(200, r#"{"id":"a","offsets":[{"offset":0,"len":9}]}"#),
        false => reply(200, "{}"),
    })
    .await;
    let url = format!(
        "kvlease://{}:{}/gateway/7/",
        peer.config.address.host(),
        peer.config.address.port()
    );
    peer.config.address = url.parse().unwrap();
    let client = peer.client();
    client.put(&key(), "bytes").await.unwrap();
    client.head(&key()).await.unwrap();
    client.lease(&key(), Duration::ZERO, TTL).await.unwrap().unwrap().release().await.unwrap();
    client.remove(&key()).await.unwrap();
    client.get(&key()).await.unwrap().unwrap();
    let _ = client.list("a", ListedTiers::All, Some("ab.7 %")).await;
    let _ = client.stats().await;
    client.ping().await.unwrap();
    let paths = [
        "PUT /gateway/7/v1/kv/lmcache/org%2Fmodel%401",
        "HEAD /gateway/7/v1/kv/lmcache/org%2Fmodel%401",
        "POST /gateway/7/v1/kv/lmcache/org%2Fmodel%401/leases?timeout_ms=0&ttl_s=30",
        "POST /gateway/7/v1/leases/a/release",
        "DELETE /gateway/7/v1/kv/lmcache/org%2Fmodel%401",
        "GET /gateway/7/v1/kv/lmcache/org%2Fmodel%401",
        "GET /gateway/7/v1/kv/lmcache?prefix=a&tier=all&cursor=ab.7%20%25",
        "GET /gateway/7/v1/stats",
        "GET /gateway/7/healthz",
    ];
    let asked: Vec<String> = peer.asked().into_iter().map(|(line, _)| line).collect();
    assert_eq!(asked, paths);
}

#[tokio::test]
async fn whoever_answers_is_alive() {
    for status in [200, 204, 404, 405, 503] {
        let peer = Peer::start(move |_| reply(status, "")).await;
        peer.client().ping().await.unwrap();
    }
    // Bound and not listening: no other process gets the port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let client = Client::new(patient(ClientConfig::new(address.parse().unwrap())));
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_daemon_of_ours_is_known_by_its_leases_and_by_its_refusals() {
    for (status, body, is_ours) in [
        (200, r#"{"id":"a","offsets":[{"offset":0,"len":9}],"epoch":"0"}"#, true),
        (200, r#"{"id":"a","offsets":[{"offset":0,"len":9}]}"#, false),
        (404, r#"{"code":"not_found","message":"no such object"}"#, true),
        (404, r#"{"detail":"Not Found"}"#, false),
        (503, r#"{"code":"unavailable","message":"later"}"#, true),
        (404, "", false),
    ] {
        let peer = Peer::start(move |_| reply(status, body)).await;
        let client = peer.client();
        assert!(!client.speaks_extensions());
        let _ = client.lease(&key(), Duration::ZERO, TTL).await;
        assert_eq!(client.speaks_extensions(), is_ours, "{status} {body}");
    }
}
