//! The token of a client, as the daemon gets it, and answers of a daemon that does not take it.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[expect(dead_code, reason = "not all of the peer is needed here")]
mod peer;

use std::{fs, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kvlease_http::{BreakerState, Client, ClientConfig, Error, OPEN_AFTER, TokenSource};
use kvlease_types::Key;
use tokio::net::TcpListener;

use peer::{Peer, patient, reply};

const SECRET: &str = "s3cret-t0ken";

fn key() -> Key {
    Key::new("k").unwrap()
}

/// A daemon that takes this token alone.
async fn guarded(token: &'static str) -> ClientConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let expected = Arc::new(format!("Bearer {token}"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let expected = Arc::clone(&expected);
            let service = service_fn(move |request: Request<Incoming>| {
                let shown: Vec<_> = request.headers().get_all("authorization").iter().collect();
                let is_known = matches!(shown[..], [one] if one.as_bytes() == expected.as_bytes());
                let response = Response::builder().status(if is_known { 200 } else { 401 });
                let response = response.body(Full::new(bytes::Bytes::new()));
                async move { response }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    patient(ClientConfig::new(address.parse().unwrap()))
}

#[tokio::test]
async fn each_request_has_the_token_and_a_new_one_is_taken_from_the_file() {
    let mut config = guarded(SECRET).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "of-yesterday\n").unwrap();
    config.token = Some(TokenSource::File(path.clone()));
    let client = Client::new(config);
    let error = client.put(&key(), "bytes").await.unwrap_err();
    let Error::Denied { status: 401, .. } = &error else { panic!("{error:?}") };
    let said = format!("{error} {error:?}");
    assert!(said.contains("`token_file`") && !said.contains("of-yesterday"), "{said}");
    // The answer had the client look at the file again.
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    client.put(&key(), "bytes").await.unwrap();
    client.ping().await.unwrap();
    client.put(&key(), vec![7; 1 << 20]).await.unwrap();
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, Error::TokenFile { .. }), "{error:?}");
    assert!(!format!("{client:?} {error:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token_that_was_given_is_shown_nowhere_but_to_the_daemon() {
    let mut config = guarded(SECRET).await;
    config.token = Some(TokenSource::Given(SECRET.parse().unwrap()));
    let client = Client::new(config.clone());
    client.put(&key(), "bytes").await.unwrap();
    assert!(!format!("{client:?} {config:?}").contains(SECRET));
}

#[tokio::test]
async fn a_client_that_is_not_let_in_asks_once_and_names_the_remedy() {
    for (status, remedy) in [(401, "set `token_file`"), (403, "grant the right")] {
        let peer = Peer::start(move |_| reply(status, "")).await;
        let client = peer.client();
        for calls in 1..=2 * OPEN_AFTER as usize {
            let error = client.head(&key()).await.unwrap_err();
            assert!(matches!(error, Error::Denied { .. }), "{error:?}");
            assert!(error.to_string().contains(remedy), "{error}");
            assert_eq!(peer.asked().len(), calls, "no call is tried again");
        }
        assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 });
        assert_eq!(client.counters().calls_answered, 2 * u64::from(OPEN_AFTER));
    }
}
