//! Puts with one exchange: the connector writes into space that was reserved ahead of need.

use std::{collections::BTreeMap, time::Duration};

use kvlease_client::{Connector, ConnectorConfig, Key, PutOutcome};
use kvlease_harness::{Daemon, await_that};
use kvlease_testing::{bytes, in_time};

use crate::program::{client_of, connector_of, daemon, fast};

const LEN: usize = 100_000;

/// Time without a put after which a connector gives its spare reservations back.
const KEPT: Duration = Duration::from_secs(1);

/// Length and number of the objects that are put until a daemon is killed: they fit the arena.
const KILLED_LEN: usize = 5_000;
const KILLED_MAX: usize = 1_000;

fn key(number: usize) -> Key {
    Key::new(format!("k{number}")).unwrap()
}

fn config(daemon: &Daemon) -> ConnectorConfig {
    connector_of(client_of(daemon))
}

/// How many frames of these kinds the daemon got.
fn asked(daemon: &Daemon) -> [f64; 4] {
    ["reserve", "commit", "store", "abort"].map(|kind| {
        let series = format!("kvlease_lane_requests_total{{kind=\"{kind}\",outcome=\"ok\"}}");
        daemon.metric(&series).unwrap()
    })
}

async fn remove(connector: &Connector, key: &Key) {
    let _is_there = connector.batched_remove(std::slice::from_ref(key)).await;
}

fn open_writes(daemon: &Daemon) -> f64 {
    daemon.metric("kvlease_writes_in_flight").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_object_of_a_length_and_all_after_it_take_one_exchange_each() {
    let objects: Vec<_> = (0..50).map(|number| bytes(LEN - number, number as u64)).collect();
    let (daemon, connector, asked) = in_time(KEPT, async || {
        let daemon = daemon();
        let connector = fast(config(&daemon)).await;
        for (number, object) in objects.iter().enumerate() {
            // Not all are of one length, but all take as many units.
            let stored = connector.put(&key(number), object.clone()).await;
            assert_eq!(stored.unwrap(), PutOutcome::Stored);
        }
        let asked = asked(&daemon);
        (daemon, connector, asked)
    })
    .await;
    assert_eq!(asked, [2.0, 2.0, 48.0, 0.0]);
    for number in 0..50 {
        let read = connector.get(&key(number)).await.unwrap().unwrap();
        assert!(read == bytes(LEN - number, number as u64), "{number}");
    }
    assert_eq!(connector.stats().puts_stored, 50);
    await_that("what is not used is given back", || open_writes(&daemon) == 0.0);
    let open = in_time(KEPT, async || {
        for number in [50, 51] {
            remove(&connector, &key(number)).await;
            connector.put(&key(number), bytes(LEN, number as u64)).await.unwrap();
        }
        open_writes(&daemon)
    })
    .await;
    assert_eq!(open, 1.0);
    connector.close().await;
    await_that("a connector that closes leaves none", || open_writes(&daemon) == 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_exists_takes_no_exchange_with_the_index_and_no_space_without_it() {
    let (_daemon, with, counts) = in_time(KEPT, async || {
        let daemon = daemon();
        let with = fast(config(&daemon)).await;
        for number in 0..4 {
            with.put(&key(number), bytes(LEN, number as u64)).await.unwrap();
        }
        let before = asked(&daemon);
        assert_eq!(with.put(&key(0), bytes(LEN, 9)).await.unwrap(), PutOutcome::Exists);
        let again = asked(&daemon);
        let mut config = config(&daemon);
        config.index = false;
        let without = fast(config).await;
        for number in [4, 5, 0, 1, 2, 3, 6] {
            let stored = without.put(&key(number), bytes(LEN, 9)).await.unwrap();
            assert_eq!(stored == PutOutcome::Exists, number < 4, "{number}");
        }
        let after = asked(&daemon);
        (daemon, with, [before, again, after])
    })
    .await;
    let [before, again, [reserve, _, store, abort]] = counts;
    assert_eq!(again, before);
    assert_eq!((reserve - before[0], store - before[2], abort), (2.0, 5.0, 0.0));
    for number in 0..4 {
        let read = with.get(&key(number)).await.unwrap().unwrap();
        assert!(read == bytes(LEN, number as u64), "{number} is as it was");
    }
    assert!(with.get(&key(6)).await.unwrap().unwrap() == bytes(LEN, 9));
}

/// A daemon that is killed at any moment has what it answered, and nothing by half.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_between_copy_and_answer_leaves_objects_whole_or_absent() {
    let mut daemon = daemon();
    let mut answered = BTreeMap::new();
    let (mut number, mut absent) = (0, 0);
    for round in 0..6_u64 {
        let putter = {
            let (connector, first) = (fast(config(&daemon)).await, number);
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                for number in first..first + KILLED_MAX {
                    let object = bytes(KILLED_LEN, number as u64);
                    let stored = connector.put(&key(number), object).await;
                    let failed = stored.is_err();
                    outcomes.push((number, stored.is_ok()));
                    if failed {
                        return outcomes;
                    }
                }
                outcomes
            })
        };
        await_that("some puts", || asked(&daemon)[2] > 3.0 * round as f64);
        daemon.kill().unwrap();
        for (put, stored) in putter.await.unwrap() {
            answered.insert(put, stored);
            number = put + 1;
        }
        daemon.start_again().unwrap();
        await_that("the daemon is back", || daemon.metric("kvlease_writes_in_flight").is_ok());
        let reader = Connector::new(config(&daemon));
        for (number, stored) in &answered {
            match reader.get(&key(*number)).await.unwrap() {
                Some(read) => assert!(read == bytes(KILLED_LEN, *number as u64), "{number}"),
                None => {
                    // Only eviction, of which there is none here, may take what was answered.
                    assert!(!stored, "{number} is lost");
                    absent += 1;
                }
            }
        }
        assert_eq!(open_writes(&daemon), 0.0);
    }
    println!("puts: {number}, of which {absent} times one was absent");
}
