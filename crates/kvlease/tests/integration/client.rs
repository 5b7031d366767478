//! The client library against a real daemon.

use std::{io::Cursor, time::Duration};

use kvlease_client::{Client, Connector, ConnectorConfig, Key, ListedTiers, PutBody, PutOutcome};
use kvlease_harness::Daemon;
use kvlease_testing::bytes;

use crate::program::{client_of, daemon};

const WAIT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(30);

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn client(daemon: &Daemon) -> Client {
    let mut config = client_of(daemon);
    config.shared_memory_name = Some(daemon.segment().name().parse().unwrap());
    Client::new(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_all_sizes_come_back_whole() {
    let daemon = daemon();
    let client = client(&daemon);
    let connector = Connector::new(ConnectorConfig::new(client.config().clone()));
    for len in [0, 1, 4095, 4096, 4097, 300_000, 1 << 20, (5 << 20) + 13, 17] {
        let (key, content) = (key(&format!("org/model@{len}%")), bytes(len, 1));
        assert_eq!(client.put(&key, content.clone()).await.unwrap(), PutOutcome::Stored);
        assert_eq!(client.put(&key, content.clone()).await.unwrap(), PutOutcome::Exists);
        assert!(connector.get(&key).await.unwrap().unwrap() == content, "{len} bytes");
        let info = client.head(&key).await.unwrap().unwrap();
        assert_eq!(info.len.bytes(), len as u64);
        let lease = client.lease(&key, WAIT, TTL).await.unwrap().unwrap();
        assert_eq!((lease.len(), lease.checksum()), (info.len, info.checksum));
        assert!(lease.is_live() && lease.checksum().is_some());
        lease.release().await.unwrap();
    }
    assert!(connector.get(&key("absent")).await.unwrap().is_none());
    connector.close().await;
    assert_eq!(client.stats().await.unwrap().leases, 0);
}

#[tokio::test]
async fn a_source_is_stored_whole_over_chunked_encoding_and_streams_back() {
    let daemon = daemon();
    let client = client(&daemon);
    let content = bytes(2_345_678, 1);
    let body = PutBody::reader(Cursor::new(content.clone()), None);
    assert_eq!(client.put(&key("k"), body).await.unwrap(), PutOutcome::Stored);
    let mut stream = client.get(&key("k")).await.unwrap().unwrap();
    assert_eq!(stream.len().bytes(), content.len() as u64);
    let mut read = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == content);
    assert!(client.get(&key("absent")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_lease_is_renewed_while_it_lives_and_not_after_its_release() {
    let daemon = daemon();
    let client = client(&daemon);
    client.put(&key("k"), "bytes").await.unwrap();
    let mut lease = client.lease(&key("k"), WAIT, Duration::from_secs(5)).await.unwrap().unwrap();
    let before = lease.deadline();
    lease.renew(TTL).await.unwrap();
    assert!(lease.deadline() > before);
    // The daemon ends the lease behind the guard's back.
    let id = lease.id().to_owned();
    let mut other = client.lease(&key("k"), WAIT, TTL).await.unwrap().unwrap();
    assert_ne!(other.id(), id);
    lease.release().await.unwrap();
    other.renew(TTL).await.unwrap();
    drop(other);
    for _ in 0..20_000 {
        if client.stats().await.unwrap().leases == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the dropped lease was not released");
}

#[tokio::test]
async fn listings_page_through_everything_once() {
    let daemon = daemon();
    let client = client(&daemon);
    let count = 1_500;
    for number in 0..count {
        client.put(&key(&format!("a/{number:04}")), "x").await.unwrap();
    }
    client.put(&key("b"), "x").await.unwrap();
    let (mut keys, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = client.list("a/", ListedTiers::Local, cursor.as_deref()).await.unwrap();
        cursor = page.cursor();
        assert_eq!(page.objects[0].tiers, ["memory"]);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        pages += 1;
        if cursor.is_none() {
            break;
        }
    }
    keys.sort_unstable();
    let expected: Vec<String> = (0..count).map(|number| format!("a/{number:04}")).collect();
    assert!(keys == expected, "{} keys in {pages} pages", keys.len());
    assert!(pages > 1);
    let listing = client.list_all("a/", ListedTiers::All, usize::MAX).await.unwrap();
    assert!(listing.objects.iter().map(|object| &object.key).eq(&expected));
    assert_eq!(client.list_all("", ListedTiers::Memory, 7).await.unwrap().objects.len(), 7);
    let tiers = client.tiers(&key("b")).await.unwrap().unwrap();
    assert_eq!((tiers.held.len(), tiers.held[0].tier.as_str()), (1, "memory"));
    assert_eq!(client.tiers(&key("absent")).await.unwrap(), None);
    assert!(client.remove(&key("b")).await.unwrap());
    assert!(!client.remove(&key("b")).await.unwrap());
}
