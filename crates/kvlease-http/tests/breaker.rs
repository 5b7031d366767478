//! The circuit breaker of a client, seen from the daemon.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[expect(dead_code, reason = "not all of the peer is needed here")]
mod peer;

use std::time::Duration;

use kvlease_http::{BreakerState, Client, ClientConfig, Error, OPEN_AFTER, PROBE_AFTER_MIN};
use kvlease_types::Key;
use tokio::{net::TcpListener, time::sleep};

use peer::{Peer, reply};

const SHORT: Duration = Duration::from_millis(30);

fn key() -> Key {
    Key::new("k").unwrap()
}

/// A peer that never answers, and a client that does not wait long for it.
async fn silent() -> Peer {
    let mut peer = Peer::start(|_| None).await;
    peer.config.timeouts.call = SHORT;
    peer
}

async fn opened(peer: &Peer) -> Client {
    let client = peer.client();
    for _ in 0..OPEN_AFTER {
        let error = client.head(&key()).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }
    client
}

#[tokio::test]
async fn after_failures_in_a_row_calls_fail_at_once_and_ask_nobody() {
    let peer = silent().await;
    let client = opened(&peer).await;
    for _ in 0..10 {
        let error = client.head(&key()).await.unwrap_err();
        let Error::CircuitOpen { failures, retry_in, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*failures, OPEN_AFTER);
        assert!(*retry_in <= PROBE_AFTER_MIN);
        assert!(error.to_string().contains(&peer.config.address.to_string()), "{error}");
    }
    assert_eq!(peer.count("HEAD"), OPEN_AFTER as usize);
    let counters = client.counters();
    assert_eq!((counters.calls_timed_out, counters.calls_not_tried), (u64::from(OPEN_AFTER), 10));
}

#[tokio::test]
async fn one_call_of_many_is_let_through_after_the_pause() {
    let peer = silent().await;
    let client = opened(&peer).await;
    sleep(PROBE_AFTER_MIN).await;
    let calls = (0..50).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.head(&key()).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut timed_out = 0;
    for call in calls {
        timed_out += usize::from(matches!(call.await.unwrap(), Err(Error::TimedOut { .. })));
    }
    assert_eq!((timed_out, peer.count("HEAD")), (1, OPEN_AFTER as usize + 1));
    let BreakerState::Open { failures, retry_in } = client.breaker() else { panic!("closed") };
    assert_eq!(failures, OPEN_AFTER + 1);
    assert!(retry_in > PROBE_AFTER_MIN, "{retry_in:?}");
}

#[tokio::test]
async fn refusals_are_answers() {
    for status in [400, 404, 429, 500, 503, 507] {
        let peer = Peer::start(move |_| reply(status, "")).await;
        let client = peer.client();
        for _ in 0..3 * OPEN_AFTER {
            let _ = client.put(&key(), "bytes").await;
        }
        assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 }, "{status}");
        assert_eq!(peer.count("PUT"), 3 * OPEN_AFTER as usize);
    }
}

#[tokio::test]
async fn a_daemon_that_comes_back_is_used_again_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(ClientConfig::new(address.to_string().parse().unwrap()));
    for _ in 0..OPEN_AFTER {
        let error = client.ping().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, Error::CircuitOpen { .. }), "{error:?}");
    let _peer = Peer::start_at(address, |_| reply(503, "")).await;
    for _ in 0..1_000 {
        if client.ping().await.is_ok() {
            assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 });
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never used again: {:?}", client.breaker());
}

#[tokio::test]
async fn a_call_that_is_given_up_says_nothing_of_the_daemon() {
    let mut peer = Peer::start(|_| None).await;
    peer.config.timeouts.call = Duration::from_secs(60);
    let client = peer.client();
    for _ in 0..3 * OPEN_AFTER {
        tokio::time::timeout(SHORT, client.head(&key())).await.unwrap_err();
    }
    assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 });
}
