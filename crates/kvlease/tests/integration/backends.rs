//! One suite for every backend of the connector: what is true of it over HTTP and over the fast lane.

use std::{path::PathBuf, time::Instant};

use kvlease_client::{
    ByteSize, Client, Connector, ConnectorConfig, Error, ErrorCode, Key, PutBody, PutOutcome,
    backend::{Answers, Backend, HttpBackend, LaneBackend, LeaseGuard, PartialAnswers},
    lane::Lane,
};
use kvlease_harness::{Daemon, await_that, wire::Wire};
use kvlease_testing::bytes;

use crate::program::{client_of, connector_of, daemon};

/// More than the capacity of the daemons of these tests.
const TOO_LARGE: usize = 65 << 20;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn config(daemon: &Daemon) -> ConnectorConfig {
    let mut config = client_of(daemon);
    config.shared_memory_name = Some(daemon.segment().name().parse().unwrap());
    connector_of(config)
}

/// The socket of the fast lane, as the daemon announces it.
async fn socket(daemon: &Daemon) -> PathBuf {
    let client = Client::new(config(daemon).client);
    client.ping().await.unwrap();
    client.announcement().socket.unwrap()
}

fn all<T>(answers: Answers<T>) -> Vec<T> {
    answers.into_iter().map(Result::unwrap).collect()
}

/// Outcomes of puts, each of which is answered.
fn stored(answers: PartialAnswers<PutOutcome>) -> Vec<PutOutcome> {
    all(answers.into_iter().map(Option::unwrap).collect())
}

/// Everything that a connector relies on, of an empty daemon.
async fn conforms(backend: &impl Backend, daemon: &Daemon) {
    let names = ["a", "b", "empty"].map(key);
    let objects = [bytes(100_000, 1), bytes(3, 2), Vec::new()];
    let absent = key("absent");
    let [a, b, empty] = &names;

    // Writes: each key on its own, in order; a key that has an object keeps it.
    let bodies = objects.iter().cloned().map(PutBody::from);
    let mut puts: Vec<_> = names.iter().zip(bodies).collect();
    assert_eq!(stored(backend.put(&mut puts).await), vec![PutOutcome::Stored; 3]);
    let mut again = [(a, PutBody::from("x")), (&absent, PutBody::from(vec![0; TOO_LARGE]))];
    let mut again = backend.put(&mut again).await.into_iter().flatten();
    assert_eq!(again.next().unwrap().unwrap(), PutOutcome::Exists);
    let Some(Err(Error::Refused { code, .. })) = again.next() else { panic!("it cannot fit") };
    assert_eq!(code, Some(ErrorCode::TooLarge));

    // Look-ups.
    assert_eq!(all(backend.exists(&[a, &absent, b]).await), [true, false, true]);
    assert!(backend.exists(&[]).await.is_empty());
    for (asked, count) in
        [(vec![], 0), (vec![a], 1), (vec![a, b, &absent, empty], 2), (vec![&absent, a], 0)]
    {
        let asked: Vec<Key> = asked.into_iter().cloned().collect();
        assert_eq!(backend.count_prefix(&asked).await.unwrap().unwrap(), count, "{asked:?}");
    }

    // Leases: the bytes, a deadline ahead, and what the daemon knows of them.
    let mut leases = all(backend.acquire(&[a, &absent, b, empty]).await);
    assert!(leases.remove(1).is_none());
    let mut leases: Vec<_> = leases.into_iter().map(Option::unwrap).collect();
    for (lease, object) in leases.iter().zip(&objects) {
        assert_eq!(lease.object_len().bytes(), object.len() as u64);
        let mut copy = vec![0; object.len()];
        let checksum = lease.attachment().copy_out_digested(lease.extents(), &mut copy).unwrap();
        assert_eq!(Some(checksum), lease.checksum());
        assert!(copy == *object);
        assert!(lease.is_unexpired() && lease.deadline() > Instant::now());
    }
    let ttl = ConnectorConfig::new(config(daemon).client).lease_ttl;
    let before = leases[0].deadline();
    assert!(backend.renew(&mut leases[0], ttl).await.unwrap());
    assert!(leases[0].deadline() > before);
    drop(leases);
    backend.flush();
    no_lease_left(daemon).await;

    // Removals.
    assert_eq!(all(backend.remove(&[a, &absent, b]).await), [true, false, true]);
    assert!(all(backend.acquire(&[a]).await)[0].is_none());
    assert_eq!(all(backend.remove(&[empty]).await), [true]);
    let mut writer = Wire::open(daemon.address());
    writer.begin_put(&format!("/v1/kv/{}/pending", config(daemon).client.bucket), 3);
    await_that("the write", || daemon.metric("kvlease_being_written_bytes").unwrap() > 0.0);
    let pending = key("pending");
    let mut removed = backend.remove(&[&pending, &absent]).await.into_iter();
    let Some(Err(Error::Refused { code, .. })) = removed.next() else { panic!("it is written") };
    assert_eq!(code, Some(ErrorCode::Exists));
    assert!(!removed.next().unwrap().unwrap(), "others have their own answer");
}

/// An object beyond the limit on leases is a miss to all calls.
async fn limits(backend: &impl Backend) {
    let [long, short] = ["long", "short"].map(key);
    let mut puts = [(&long, PutBody::from("0123456789x")), (&short, PutBody::from("0123456789"))];
    assert_eq!(stored(backend.put(&mut puts).await), vec![PutOutcome::Stored; 2]);
    let leases = all(backend.acquire(&[&long, &short]).await);
    assert!(leases[0].is_none() && leases[1].is_some());
    assert_eq!(all(backend.exists(&[&long, &short]).await), [false, true]);
    assert_eq!(backend.count_prefix(&[short.clone(), long.clone()]).await.unwrap().unwrap(), 1);
    assert_eq!(all(backend.remove(&[&long, &short]).await), [true, true]);
}

async fn no_lease_left(daemon: &Daemon) {
    let client = Client::new(config(daemon).client);
    for _ in 0..20_000 {
        if client.stats().await.unwrap().leases == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("a lease was not released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_conforms() {
    let daemon = daemon();
    conforms(&HttpBackend::new(config(&daemon)), &daemon).await;
    let mut config = config(&daemon);
    config.lease_len_max = Some(ByteSize::new(10));
    limits(&HttpBackend::new(config)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fast_lane_conforms() {
    let daemon = daemon();
    let socket = socket(&daemon).await;
    conforms(&LaneBackend::open(config(&daemon), &socket).await.unwrap(), &daemon).await;
    let mut config = config(&daemon);
    config.lease_len_max = Some(ByteSize::new(10));
    limits(&LaneBackend::open(config, &socket).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_cannot_do_it_leaves_unanswered() {
    let daemon = daemon();
    let mut unattached = config(&daemon);
    unattached.client.shared_memory_name = None;
    let http = HttpBackend::new(unattached);
    assert!(http.acquire(&[&key("k")]).await.is_empty(), "without shared memory");
    let lane = LaneBackend::open(config(&daemon), &socket(&daemon).await).await.unwrap();
    let (a, b) = (key("a"), key("b"));
    let source = PutBody::reader(std::io::Cursor::new(b"b"), None);
    let mut puts = [(&a, PutBody::from("a")), (&b, source)];
    let over_lane = lane.put(&mut puts).await;
    assert!(matches!(over_lane[..], [Some(Ok(PutOutcome::Stored)), None]), "not from a source");
    assert_eq!(stored(http.put(&mut puts[1..]).await), [PutOutcome::Stored]);
    drop(daemon);
    // The first call notices that the lane is broken.
    assert!(lane.exists(&[&a, &b]).await.is_empty());
    assert!(lane.acquire(&[&a]).await.is_empty() && lane.remove(&[&a]).await.is_empty());
    assert!(lane.count_prefix(&[a]).await.is_none());
}

/// Length of each object of the batches that are larger than what one user may reserve: 48 of 64 MiB.
const PIECE: usize = 4 << 20;

/// Bytes that were committed over the fast lane.
fn committed(daemon: &Daemon) -> usize {
    daemon.metric("kvlease_lane_written_bytes_total").unwrap() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_beyond_the_share_of_reservations_is_stored_over_the_lane_in_turns() {
    let daemon = daemon();
    let lane = LaneBackend::open(config(&daemon), &socket(&daemon).await).await.unwrap();
    // The short ones between those that are refused have their turn first.
    let names: Vec<_> = (0..30).map(|number| key(&format!("k{number}"))).collect();
    let len = |number: usize| if number.is_multiple_of(2) { PIECE } else { 100 };
    let bodies = (0..30).map(|number| PutBody::from(bytes(len(number), number as u64)));
    let mut puts: Vec<_> = names.iter().zip(bodies).collect();
    assert_eq!(stored(lane.put(&mut puts).await), vec![PutOutcome::Stored; 30]);
    assert_eq!(committed(&daemon), 15 * (PIECE + 100));
    let refused = "kvlease_lane_items_total{kind=\"reserve\",status=\"too_many_reservations\"}";
    assert_eq!(daemon.metric(refused).unwrap(), 4.0, "11 of the 15 long ones had room at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gets_no_reservation_is_stored_over_http() {
    let daemon = daemon();
    let (socket, config) = (socket(&daemon).await, config(&daemon));
    let bucket = config.client.bucket.clone();
    let limit = config.client.timeouts.call;
    let greedy = Lane::open(&socket, bucket, true, config.client.trusted, 1, limit).await.unwrap();
    let names: Vec<_> = (0..12).map(|number| key(&format!("greedy {number}"))).collect();
    let wanted: Vec<_> = names.iter().map(|key| (key, ByteSize::new(PIECE as u64))).collect();
    let held = greedy.reserve(&wanted, limit).await.unwrap();
    assert!(held.iter().all(Result::is_ok), "the share of the user");
    let [a, b] = ["a", "b"].map(key);
    let objects = || [&a, &b].map(|key| (key, PutBody::from(bytes(1 << 20, 1))));
    let lane = LaneBackend::open(config.clone(), &socket).await.unwrap();
    assert!(matches!(lane.put(&mut objects()).await[..], [None, None]));
    let connector = Connector::new(config);
    // An answer over HTTP announces the lane, which the next call opens.
    connector.ping().await.unwrap();
    assert!(!connector.exists(&a).await.unwrap() && connector.is_fast());
    let put = connector.batched_put(objects().map(|(key, body)| (key.clone(), body)).into()).await;
    assert_eq!(all(put), vec![PutOutcome::Stored; 2]);
    assert!(connector.is_fast(), "it is no other lane that is missing");
    assert_eq!(committed(&daemon), 0);
    drop(held);
    await_that("the share is free", || daemon.stats().unwrap().writes == 0);
    let put = connector.put(&key("c"), bytes(PIECE, 1)).await;
    assert_eq!(
        (put.unwrap(), committed(&daemon)),
        (PutOutcome::Stored, PIECE),
        "it has room again"
    );
}
