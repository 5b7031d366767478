//! The connector against a real daemon.

use std::time::Duration;

use kvlease_client::{
    Connector, ConnectorConfig, Destination, Error, ExternalBuffer, ExternalMemory, Key, PutBody,
    PutOutcome, SocketChoice,
};
use kvlease_harness::Daemon;
use kvlease_testing::bytes;

use crate::program::{client_of, connector_of, daemon};

const HEAD_LEN: usize = 28;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| key(&format!("org/model@1@0@{number:x}@half"))).collect()
}

/// A connector that leases over HTTP and reads from the segment.
fn config(daemon: &Daemon) -> ConnectorConfig {
    let mut config = client_of(daemon);
    config.shared_memory_name = Some(daemon.segment().name().parse().unwrap());
    let mut config = connector_of(config);
    config.socket = SocketChoice::Never;
    config
}

/// A connector that takes the fast lane once it was told of it, and knows no segment.
fn fast_config(daemon: &Daemon) -> ConnectorConfig {
    connector_of(client_of(daemon))
}

/// Waits until the daemon has no leases left.
async fn no_lease_left(connector: &Connector) {
    let client = kvlease_client::Client::new(connector.config().client.clone());
    for _ in 0..20_000 {
        if client.stats().await.unwrap().leases == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a lease was not released");
}

/// Every way to read, over shared memory and over HTTP.
async fn reads_everything(connector: Connector) {
    let lens = [0, 1, HEAD_LEN, 4097, 300_000, 1 << 20, (5 << 20) + 13];
    let (keys, absent) = (keys(lens.len()), key("absent"));
    let objects: Vec<Vec<u8>> =
        lens.iter().enumerate().map(|(i, len)| bytes(*len, i as u64)).collect();
    let bodies = keys.iter().cloned().zip(objects.iter().cloned().map(PutBody::from)).collect();
    for outcome in connector.batched_put(bodies).await {
        assert_eq!(outcome.unwrap(), PutOutcome::Stored);
    }
    assert_eq!(connector.put(&keys[1], "x").await.unwrap(), PutOutcome::Exists);
    let asked: Vec<Key> = keys.iter().chain([&absent]).cloned().collect();
    let read = connector.batched_get(&asked).await;
    for (read, object) in read.into_iter().zip(objects.iter().map(Some).chain([None])) {
        assert!(read.unwrap().as_ref() == object);
    }
    for (opened, object) in connector.batched_open(&asked, HEAD_LEN).await.into_iter().zip(&objects)
    {
        let opened = opened.unwrap().unwrap();
        let (head, rest) = object.split_at(HEAD_LEN.min(object.len()));
        assert_eq!((opened.head(), opened.len().bytes()), (head, object.len() as u64));
        let (buffer, memory) = ExternalBuffer::of_vec(vec![0; rest.len()]);
        opened.read_rest(buffer).await.unwrap();
        assert!(memory.take_back().unwrap() == rest);
    }
    let (buffers, memories): (Vec<_>, Vec<_>) =
        objects.iter().map(|object| ExternalBuffer::of_vec(vec![0; object.len()])).unzip();
    let asked = keys.iter().cloned().zip(buffers).collect();
    for found in connector.batched_get_into(asked).await {
        assert!(found.unwrap());
    }
    for (memory, object) in memories.into_iter().zip(&objects) {
        assert!(memory.take_back().unwrap() == *object);
    }
    let (short, _) = ExternalBuffer::of_vec(vec![0; 4096]);
    let error = connector.get_into(&keys[3], short).await.unwrap_err();
    assert!(matches!(error, Error::LengthMismatch { .. }), "{error:?}");
    gathers_and_scatters(&connector).await;
    no_lease_left(&connector).await;
    connector.close().await;
    assert!(matches!(connector.get(&keys[0]).await, Err(Error::Closed)));
}

/// Objects made of regions of one memory, and read into regions of another cut.
async fn gathers_and_scatters(connector: &Connector) {
    let pool = |content: Vec<u8>| {
        let (block, vector) = ExternalBuffer::of_vec(content);
        let base = block.as_ref().as_ptr() as usize;
        (ExternalMemory::new(vec![block]), base, vector)
    };
    // Of each object as many regions as a page has layers, far apart, one of them empty.
    let region_lens = [0, 1, 4097, 70_000, 1 << 20];
    let keys: Vec<Key> = region_lens.iter().map(|len| key(&format!("page@{len}"))).collect();
    let page_len: usize = region_lens.iter().sum();
    let content = bytes(keys.len() * page_len, 77);
    let (from, base, _content) = pool(content.clone());
    let regions_of = |base: usize, object: usize, lens: &[usize]| -> Vec<(usize, usize)> {
        let start = |part: usize| lens[..part].iter().sum::<usize>() * keys.len();
        let place = |(part, len): (usize, &usize)| (base + start(part) + object * len, *len);
        lens.iter().enumerate().map(place).collect()
    };
    let mut bodies = Vec::new();
    let mut wanted = Vec::new();
    for (object, key) in keys.iter().enumerate() {
        let regions = from.bytes(&regions_of(base, object, &region_lens)).unwrap();
        wanted.push(regions.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat());
        bodies.push((key.clone(), PutBody::gathered(regions)));
    }
    for outcome in connector.batched_put(bodies).await {
        assert_eq!(outcome.unwrap(), PutOutcome::Stored);
    }
    for (read, wanted) in connector.batched_get(&keys).await.into_iter().zip(&wanted) {
        assert!(read.unwrap().as_ref() == Some(wanted));
    }
    for lens in [vec![page_len], vec![1 << 20, 70_000, 4097, 1, 0], vec![page_len - 1, 1]] {
        let (into, base, memory) = pool(vec![0; content.len()]);
        let absent = (key("absent"), Destination::from(Vec::new()));
        let place = |(object, key): (usize, &Key)| {
            (key.clone(), into.buffers(&regions_of(base, object, &lens)).unwrap().into())
        };
        let asked = keys.iter().enumerate().map(place).chain([absent]).collect();
        let found = connector.batched_get_into(asked).await.into_iter().map(Result::unwrap);
        assert_eq!(found.collect::<Vec<_>>(), [true, true, true, true, true, false]);
        for (object, wanted) in wanted.iter().enumerate() {
            let regions = into.bytes(&regions_of(base, object, &lens)).unwrap();
            let arrived: Vec<&[u8]> = regions.iter().map(AsRef::as_ref).collect();
            assert!(arrived.concat() == *wanted, "{object} {lens:?}");
        }
        let short = into.buffers(&[(base, 10), (base + 10, page_len - 11)]).unwrap();
        let error = connector.get_into(&keys[0], short).await.unwrap_err();
        assert!(matches!(error, Error::LengthMismatch { .. }), "{error:?}");
        drop(into);
        assert!(memory.take_back().is_some(), "nothing keeps the memory of a call that is over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_read_through_shared_memory() {
    let daemon = daemon();
    let connector = Connector::new(config(&daemon));
    tokio::spawn(reads_everything(connector.clone())).await.unwrap();
    assert_eq!(connector.stats().http_reads, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_segment_name_is_told_of_once_and_costs_no_object() {
    let (mine, other) = (daemon(), daemon());
    let mut config = config(&mine);
    config.client.shared_memory_name = Some(other.segment().name().parse().unwrap());
    let (connector, keys) = (Connector::new(config), keys(10));
    for (number, key) in keys.iter().enumerate() {
        connector.put(key, bytes(100_000, number as u64)).await.unwrap();
    }
    for (number, key) in keys.iter().enumerate() {
        let read = connector.get(key).await.unwrap();
        assert!(read.as_deref() == Some(&*bytes(100_000, number as u64)), "{key}");
    }
    assert_eq!((connector.stats().corrupt, connector.stats().http_reads), (0, 10));
    let notice = connector.take_notice().unwrap().text;
    let name = format!("shared_memory_name=`{}`", other.segment().name());
    assert!(notice.contains(&name) && notice.contains("announced=`"), "{notice}");
    assert_eq!(connector.take_notice(), None);
    no_lease_left(&connector).await;
    assert_eq!(connector.list("").await.unwrap().len(), keys.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_written_and_read_over_the_fast_lane() {
    let daemon = daemon();
    let connector = Connector::new(fast_config(&daemon));
    // Any answer tells of the lane.
    connector.ping().await.unwrap();
    tokio::spawn(reads_everything(connector.clone())).await.unwrap();
    let stats = connector.stats();
    assert_eq!((stats.http_reads, stats.leases), (0, stats.leases_released));
    assert!(stats.leases > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_read_over_http_with_two_connections() {
    let daemon = daemon();
    let mut config = config(&daemon);
    config.client.shared_memory_name = None;
    config.client.connections_max = 2;
    let connector = Connector::new(config);
    tokio::spawn(reads_everything(connector.clone())).await.unwrap();
    assert!(connector.stats().http_reads > 0 && connector.stats().leases == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_keys_at_once_are_stored_found_held_and_read() {
    let daemon = daemon();
    ten_thousand_keys(Connector::new(config(&daemon))).await;
    let fast = Connector::new(fast_config(&daemon));
    fast.ping().await.unwrap();
    ten_thousand_keys(fast).await;
}

async fn ten_thousand_keys(connector: Connector) {
    let keys = keys(10_000);
    let objects = keys.iter().map(|key| (key.clone(), PutBody::from("some bytes"))).collect();
    assert!(connector.batched_put(objects).await.into_iter().all(|put| put.is_ok()));
    assert!(connector.batched_exists(&keys).await.into_iter().all(|found| found.unwrap()));
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), keys.len());
    assert!(connector.prefetch_leases(&keys).await.into_iter().all(|found| found.unwrap()));
    assert_eq!(connector.stats().cached_leases as usize, kvlease_client::CACHED_LEASES_MAX);
    let read = connector.batched_get(&keys).await;
    assert!(
        read.into_iter().all(|read| read.unwrap().as_deref() == Some(b"some bytes".as_slice()))
    );
    assert_eq!(connector.list("").await.unwrap().len(), keys.len());
    assert!(connector.batched_remove(&keys).await.into_iter().all(|removed| removed.unwrap()));
    assert_eq!(connector.lookup_prefix(&keys).await.unwrap(), 0);
    no_lease_left(&connector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_cannot_be_attached_costs_speed_and_nothing_else() {
    let daemon = daemon();
    let mut config = config(&daemon);
    config.client.shared_memory_name = Some("kvlease_no_such_segment".parse().unwrap());
    let connector = Connector::new(config);
    let object = bytes(3 << 20, 1);
    connector.put(&key("k"), object.clone()).await.unwrap();
    assert!(connector.get(&key("k")).await.unwrap().unwrap() == object);
    let opened = connector.open(&key("k"), HEAD_LEN).await.unwrap().unwrap();
    assert!(!opened.is_shared() && opened.into_view().is_err());
    assert!(
        connector
            .prefetch_leases(&[key("k"), key("absent")])
            .await
            .into_iter()
            .flatten()
            .eq([true, false])
    );
    // The first read has told that the daemon is ours, which needs no lease to say what exists.
    let stats = connector.stats();
    assert_eq!((stats.http_reads, stats.leases, stats.cached_leases), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_given_up_end_nobody_elses_lease() {
    let daemon = daemon();
    let connector = Connector::new(fast_config(&daemon));
    connector.ping().await.unwrap();
    let object = bytes(300_000, 3);
    let keys = keys(500);
    connector.put(&keys[0], object.clone()).await.unwrap();
    let view = connector.open(&keys[0], 0).await.unwrap().unwrap().into_view().unwrap();
    for round in 0..200 {
        let given_up = connector.batched_open(&keys, 0);
        // Polled once, so that its request is on its way, or nothing of it.
        let polled = tokio::time::timeout(Duration::from_micros(round * 5), given_up).await;
        drop(polled);
    }
    assert!(view.is_live() && connector.is_fast());
    view.verify().unwrap();
    assert!(connector.get(&keys[0]).await.unwrap().unwrap() == object);
    drop(view);
    no_lease_left(&connector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_over_the_fast_lane_outlives_the_time_of_its_lease() {
    let daemon = daemon();
    let mut config = fast_config(&daemon);
    // Renewed when half of it is over: no machine is held up for as long.
    let ttl = Duration::from_secs(4);
    config.lease_ttl = ttl;
    let connector = Connector::new(config);
    connector.ping().await.unwrap();
    connector.put(&key("k"), bytes(100_000, 4)).await.unwrap();
    let view = connector.open(&key("k"), 0).await.unwrap().unwrap().into_view().unwrap();
    tokio::time::sleep(ttl + ttl / 4).await;
    view.verify().unwrap();
    drop(view);
    no_lease_left(&connector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_leaves_nothing_behind() {
    let daemon = daemon();
    let connector = Connector::new(fast_config(&daemon));
    connector.ping().await.unwrap();
    let keys = keys(300);
    for key in &keys {
        connector.put(key, bytes(5_000, 5)).await.unwrap();
    }
    let opened = connector.batched_open(&keys, 0).await;
    assert!(opened.into_iter().all(|opened| opened.unwrap().is_some()));
    let observer = Connector::new(config(&daemon));
    drop(connector);
    no_lease_left(&observer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_on_the_calling_thread_and_one_in_place_are_the_same_bytes() {
    let daemon = daemon();
    let connector = Connector::new(config(&daemon));
    let object = bytes(700_001, 2);
    connector.put(&key("k"), object.clone()).await.unwrap();
    let opened = connector.open(&key("k"), HEAD_LEN).await.unwrap().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let (mut buffer, memory) = ExternalBuffer::of_vec(vec![0; 700_001 - HEAD_LEN]);
        opened.read_rest_here(&mut buffer).unwrap();
        drop(buffer);
        memory.take_back().unwrap()
    });
    assert!(read.await.unwrap() == object[HEAD_LEN..]);
    let opened = connector.open(&key("k"), 0).await.unwrap().unwrap();
    let mut view = opened.into_view().unwrap();
    view.renew(Duration::from_secs(60)).await.unwrap();
    assert!(view.is_live() && view.parts().map(|(_, len)| len).sum::<usize>() == object.len());
    drop(view);
    no_lease_left(&connector).await;
}
