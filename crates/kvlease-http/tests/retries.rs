//! Requests that are sent once more when a connection breaks, and requests that are not.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

#[path = "peer/raw.rs"]
mod raw;

use std::time::Duration;

use kvlease_api::ListedTiers;
use kvlease_http::{Client, Error, Lease, PutOutcome};
use kvlease_types::Key;
use tokio::{task::yield_now, time::sleep};

use raw::{Act, RawPeer};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const LEASE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 45\r\n\r\n\
                     {\"id\":\"a\",\"offsets\":[{\"offset\":0,\"len\":9}]}  ";
const RENEWED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                       content-length: 14\r\n\r\n{\"ttl_s\":30.0}";
const LISTING: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\
                       \r\n{\"objects\":[]}";
const OBJECT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789";

fn key() -> Key {
    Key::new("k").unwrap()
}

async fn lease(client: &Client) -> Result<Option<Lease>, Error> {
    client.lease(&key(), Duration::ZERO, Duration::from_secs(30)).await
}

/// A peer that closes the connection on its first request and answers the others.
async fn closing_once(answer: &'static str) -> RawPeer {
    RawPeer::start(move |number| match number {
        0 => Act::AnswerAndClose(""),
        _ => Act::Answer(answer),
    })
    .await
}

/// Checks that the two requests so far were the same one.
fn assert_repeated(peer: &RawPeer, client: &Client) {
    let requests = peer.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!(requests[0], requests[1]);
    assert_eq!(client.counters().calls_repeated, 1);
    assert_eq!((client.counters().calls_answered, client.counters().calls_broken), (1, 0));
}

#[tokio::test]
async fn a_lease_is_asked_for_again() {
    let peer = closing_once(LEASE).await;
    let client = peer.client();
    let lease = lease(&client).await.unwrap().unwrap();
    assert_repeated(&peer, &client);
    assert_eq!(lease.len().bytes(), 9);
}

#[tokio::test]
async fn reads_are_asked_for_again() {
    let peer = closing_once(OBJECT.split_once("123").unwrap().0).await;
    let client = peer.client();
    assert_eq!(client.head(&key()).await.unwrap().unwrap().len.bytes(), 9);
    assert_repeated(&peer, &client);

    let peer = closing_once(OBJECT).await;
    let client = peer.client();
    let mut stream = client.get(&key()).await.unwrap().unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "123456789");
    assert!(stream.next().await.unwrap().is_none());
    assert_repeated(&peer, &client);

    let peer = closing_once(LISTING).await;
    let client = peer.client();
    assert!(client.list("", ListedTiers::Local, None).await.unwrap().objects.is_empty());
    assert_repeated(&peer, &client);

    let peer = closing_once(EMPTY).await;
    let client = peer.client();
    client.ping().await.unwrap();
    assert_repeated(&peer, &client);
}

#[tokio::test]
async fn releases_and_renewals_are_sent_again() {
    for is_release in [true, false] {
        let answer = if is_release { EMPTY } else { RENEWED };
        let peer = RawPeer::start(move |number| match number {
            0 => Act::Answer(LEASE),
            1 => Act::AnswerAndClose(""),
            _ => Act::Answer(answer),
        })
        .await;
        let client = peer.client();
        let mut lease = lease(&client).await.unwrap().unwrap();
        match is_release {
            true => lease.release().await.unwrap(),
            false => lease.renew(Duration::from_secs(30)).await.unwrap(),
        }
        let requests = peer.requests();
        assert_eq!(requests[1], requests[2]);
        assert_eq!(client.counters().calls_repeated, 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_a_third_time() {
    let peer = RawPeer::start(|_| Act::AnswerAndClose("")).await;
    let error = lease(&peer.client()).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_again_once_an_answer_has_begun() {
    for part in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"] {
        let peer = RawPeer::start(move |_| Act::AnswerAndClose(part)).await;
        let client = peer.client();
        let error = lease(&client).await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        assert_eq!(peer.requests().len(), 1, "{part}");
        assert_eq!(client.counters().calls_broken, 1);
    }
}

#[tokio::test]
async fn puts_and_removals_are_never_sent_again() {
    let peer = closing_once(EMPTY).await;
    let error = peer.client().put(&key(), "bytes").await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(peer.requests().len(), 1);
    let peer = closing_once(EMPTY).await;
    let error = peer.client().remove(&key()).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn a_put_whose_idle_connection_was_closed_takes_another_one() {
    let peer = RawPeer::start(|_| Act::AnswerAndClose(EMPTY)).await;
    let client = peer.client();
    for stored in 1..4 {
        assert_eq!(client.put(&key(), "bytes").await.unwrap(), PutOutcome::Stored);
        assert_eq!(peer.requests().len(), stored);
        while peer.closed() < stored {
            yield_now().await;
        }
        // Lets the runtime see that the peer has closed.
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.counters().calls_repeated, 0);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_sent_is_taken() {
    let early = "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n";
    for act in [Act::AnswerAndHang(early), Act::AnswerAndClose(early)] {
        let peer = RawPeer::start(move |_| act).await;
        // More than the sockets take: the peer reads none of it.
        let body = vec![7; 64 << 20];
        let outcome = peer.client().put(&key(), body).await.unwrap();
        assert_eq!(outcome, PutOutcome::Exists, "{act:?}");
    }
}
