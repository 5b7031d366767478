//! Reads without a call: the connector over the daemon's published index.

use kvlease_client::{Connector, ConnectorConfig, ExternalBuffer, Key};
use kvlease_harness::{Daemon, await_that};
use kvlease_testing::bytes;

use crate::program::{client_of, connector_of, daemon, fast};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| key(&format!("org/model@1@0@{number:x}@half"))).collect()
}

fn config(daemon: &Daemon) -> ConnectorConfig {
    connector_of(client_of(daemon))
}

async fn remove(connector: &Connector, key: &Key) -> bool {
    connector.batched_remove(std::slice::from_ref(key)).await.remove(0).unwrap()
}

/// How often clients of the daemon leased or looked up something over the fast lane.
fn asked(daemon: &Daemon) -> f64 {
    let of = |kind: &str| format!("kvlease_lane_requests_total{{kind=\"{kind}\",outcome=\"ok\"}}");
    ["acquire", "exists"].map(|kind| daemon.metric(&of(kind)).unwrap()).into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_found_and_read_without_a_call() {
    let daemon = daemon();
    let (connector, keys) = (fast(config(&daemon)).await, keys(40));
    let object = |number: usize| bytes(3_000 * number, number as u64);
    for (number, key) in keys.iter().enumerate() {
        connector.put(key, object(number)).await.unwrap();
    }
    let before = asked(&daemon);
    assert!(connector.exists(&keys[7]).await.unwrap());
    assert!(connector.batched_exists(&keys).await.into_iter().all(Result::unwrap));
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), keys.len());
    for (number, key) in keys.iter().enumerate() {
        assert!(connector.get(key).await.unwrap().unwrap() == object(number), "{key}");
    }
    for (number, read) in connector.batched_get(&keys).await.into_iter().enumerate() {
        assert!(read.unwrap().unwrap() == object(number), "{number}");
    }
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; 9_000]);
    assert!(connector.get_into(&keys[3], buffer).await.unwrap());
    assert!(memory.take_back().unwrap() == object(3));
    assert_eq!(asked(&daemon), before);
    let stats = connector.stats();
    assert_eq!((stats.leases, stats.http_reads), (0, 0));
    assert_eq!(stats.index_hits, 1 + 40 + 40 + 40 + 40 + 1);
    let noted = || daemon.metric("kvlease_index_reads_total").unwrap() == 81.0;
    await_that("the daemon is told of the reads", noted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_is_asked_for_what_the_index_does_not_name() {
    let daemon = daemon();
    let (connector, mut keys) = (fast(config(&daemon)).await, keys(10));
    for key in &keys {
        connector.put(key, bytes(100, 1)).await.unwrap();
    }
    let over_http = Connector::new(config(&daemon));
    assert!(remove(&over_http, &keys[6]).await);
    assert!(!connector.exists(&keys[6]).await.unwrap());
    assert_eq!(connector.get(&keys[6]).await.unwrap(), None);
    let found = connector.batched_exists(&keys).await.into_iter().map(Result::unwrap);
    assert_eq!(found.filter(|found| *found).count(), 9);
    let read = connector.batched_get(&keys).await.into_iter().map(|read| read.unwrap().is_some());
    assert_eq!(read.filter(|found| *found).count(), 9);
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), 6);
    keys.remove(6);
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_turned_off_is_not_read() {
    let daemon = daemon();
    let mut config = config(&daemon);
    config.index = false;
    let (connector, key) = (fast(config).await, key("k"));
    connector.put(&key, bytes(100, 1)).await.unwrap();
    assert!(connector.exists(&key).await.unwrap() && connector.get(&key).await.unwrap().is_some());
    assert_eq!((connector.stats().index_hits, connector.stats().leases), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_leased_and_a_peek_has_none() {
    let daemon = daemon();
    let (connector, key) = (fast(config(&daemon)).await, key("k"));
    connector.put(&key, bytes(100, 1)).await.unwrap();
    let view = connector.open(&key, 0).await.unwrap().unwrap().into_view().unwrap();
    assert!(view.is_live() && connector.stats().leases == 1);
    let peeked = connector.batched_peek(std::slice::from_ref(&key), 28).await.remove(0);
    let peeked = peeked.unwrap().unwrap();
    assert_eq!(peeked.head(), &bytes(100, 1)[..28]);
    let peeked = peeked.into_view().unwrap_err();
    let (buffer, memory) = ExternalBuffer::of_vec(vec![0; 72]);
    peeked.read_rest(buffer).await.unwrap();
    assert!(memory.take_back().unwrap() == bytes(100, 1)[28..]);
    assert_eq!(connector.stats().leases, 1);
}

/// An object that leaves between its head and its rest is a miss, or is what came in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_pins_what_was_peeked() {
    let daemon = daemon();
    let (connector, key) = (fast(config(&daemon)).await, key("k"));
    connector.put(&key, bytes(100, 1)).await.unwrap();
    let peeked = connector.batched_peek(std::slice::from_ref(&key), 28).await.remove(0);
    assert!(remove(&connector, &key).await);
    let (buffer, _memory) = ExternalBuffer::of_vec(vec![0; 72]);
    assert!(peeked.unwrap().unwrap().read_rest(buffer).await.is_err());
    assert_eq!(connector.stats().leases_ended, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_daemon_published_is_read_until_the_next_one_begins() {
    let mut daemon = daemon();
    let (connector, key) = (fast(config(&daemon)).await, key("k"));
    let object = bytes(300_000, 1);
    connector.put(&key, object.clone()).await.unwrap();
    daemon.kill().unwrap();
    assert!(connector.get(&key).await.unwrap().unwrap() == object);
    assert!(connector.exists(&key).await.unwrap());
    daemon.start_again().unwrap();
    let other = Connector::new(config(&daemon));
    assert!(remove(&other, &key).await);
    other.put(&key, bytes(200_000, 2)).await.unwrap();
    // The old index names the old object still.
    assert!(connector.get(&key).await.unwrap().unwrap() == bytes(200_000, 2));
    assert!(remove(&other, &key).await);
    assert!(!connector.exists(&key).await.unwrap());
}
