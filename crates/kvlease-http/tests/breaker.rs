//! The circuit breaker of a client, seen from the daemon.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[expect(dead_code, reason = "not all of the peer is needed here")]
mod peer;

use std::time::{Duration, Instant};

use kvlease_http::{BreakerState, Client, ClientConfig, Error, OPEN_AFTER, PROBE_AFTER_MIN};
use kvlease_types::Key;
use tokio::{net::TcpSocket, time::sleep};

use peer::{Peer, patient, reply};

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

/// A client whose breaker opened after a moment.
async fn opened(peer: &Peer) -> (Client, Instant) {
    let client = peer.client();
    let mut before = Instant::now();
    for _ in 0..OPEN_AFTER {
        before = Instant::now();
        let error = client.head(&key()).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }
    (client, before)
}

#[tokio::test]
async fn after_failures_in_a_row_calls_fail_at_once_and_ask_nobody() {
    let peer = silent().await;
    // Where the calls are held up one of them is let through: then it is done again.
    let (client, errors) = loop {
        let asked = peer.count("HEAD");
        let (client, opened) = opened(&peer).await;
        let mut errors = Vec::new();
        for _ in 0..10 {
            errors.push(client.head(&key()).await.unwrap_err());
        }
        if opened.elapsed() < PROBE_AFTER_MIN {
            assert_eq!(peer.count("HEAD") - asked, OPEN_AFTER as usize);
            break (client, errors);
        }
    };
    for error in errors {
        let Error::CircuitOpen { failures, retry_in, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*failures, OPEN_AFTER);
        assert!(*retry_in <= PROBE_AFTER_MIN);
        assert!(error.to_string().contains(&peer.config.address.to_string()), "{error}");
    }
    let counters = client.counters();
    assert_eq!((counters.calls_timed_out, counters.calls_not_tried), (u64::from(OPEN_AFTER), 10));
}

#[tokio::test]
async fn one_call_of_many_is_let_through_after_the_pause() {
    let peer = silent().await;
    // Where the calls are held up another one is let through: then it is done again.
    let (timed_out, asked, state) = loop {
        let before = peer.count("HEAD");
        let (client, _) = opened(&peer).await;
        sleep(PROBE_AFTER_MIN).await;
        let started = Instant::now();
        let calls = (0..50).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.head(&key()).await })
        });
        let calls: Vec<_> = calls.collect();
        let mut timed_out = 0;
        for call in calls {
            timed_out += usize::from(matches!(call.await.unwrap(), Err(Error::TimedOut { .. })));
        }
        let state = client.breaker();
        if started.elapsed() < PROBE_AFTER_MIN {
            break (timed_out, peer.count("HEAD") - before, state);
        }
    };
    assert_eq!((timed_out, asked), (1, OPEN_AFTER as usize + 1));
    let BreakerState::Open { failures, retry_in } = state else { panic!("closed") };
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
    // Bound and not listening: no other process gets the port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let client = Client::new(patient(ClientConfig::new(address.to_string().parse().unwrap())));
    for _ in 0..OPEN_AFTER {
        let error = client.ping().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
    let _peer = Peer::on(socket.listen(128).unwrap(), |_| reply(503, ""));
    for _ in 0..10_000 {
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
    let peer = Peer::start(|_| None).await;
    let client = peer.client();
    for _ in 0..3 * OPEN_AFTER {
        tokio::time::timeout(SHORT, client.head(&key())).await.unwrap_err();
    }
    assert_eq!(client.breaker(), BreakerState::Closed { failures: 0 });
}
