//! Errors of the device: calls fail, nothing wrong is served, and all is well once it works again.

use std::time::Duration;

use kvlease_tier::{Presence, Tier, TierError};

use super::{
    GEOMETRY,
    fixture::{BUCKET, Outcome, Sink, block_on, bytes, load, name, object, store},
    memory::{Failing, MemoryDevice},
    open,
};

const WELL: Failing = Failing { reads: false, writes: false, syncs: false, hangs: false };
const READS: Failing = Failing { reads: true, ..WELL };
const WRITES: Failing = Failing { writes: true, ..WELL };
const SYNCS: Failing = Failing { syncs: true, ..WELL };
const HANGS: Failing = Failing { hangs: true, ..WELL };

/// Time after which a test that hangs fails.
const WATCHDOG: Duration = Duration::from_secs(60);

#[test]
fn a_store_that_cannot_be_written_or_synced_is_not_there() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        store(&tier, "before", b"bytes").await.unwrap();
        for (key, failing) in [("write", WRITES), ("sync", SYNCS)] {
            device.fail(failing);
            let stored = store(&tier, key, b"bytes").await;
            assert!(matches!(stored, Err(TierError::Io { .. })), "{stored:?}");
            assert_eq!(tier.presence(BUCKET, key), Presence::Absent);
            let removed = tier.remove(BUCKET, &["before"]).await;
            assert!(matches!(removed, Err(TierError::Io { .. })), "{removed:?}");
            device.fail(WELL);
            store(&tier, key, b"bytes").await.unwrap();
            store(&tier, "before", b"bytes").await.unwrap();
        }
    });
    drop(tier);
    let (tier, _) = open(&device);
    for key in ["before", "write", "sync"] {
        let stat = object(key, b"bytes").stat;
        assert_eq!(tier.presence(BUCKET, key), Presence::Here(stat));
    }
}

#[test]
fn an_object_that_cannot_be_read_stays() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    let stat = object("a", b"bytes").stat;
    block_on(async {
        store(&tier, "a", b"bytes").await.unwrap();
        device.fail(READS);
        assert!(matches!(load(&tier, "a", stat).await, Err(TierError::Io { .. })));
        device.fail(WELL);
        assert_eq!(load(&tier, "a", stat).await.unwrap(), Some(b"bytes".to_vec()));
    });
}

#[test]
fn stores_fail_while_no_segment_can_be_started_and_go_on_after() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        device.fail(WRITES);
        let mut failed = 0;
        for number in 0..40 {
            let key = format!("key-{number}");
            failed += usize::from(store(&tier, &key, &bytes(&key, 0, 12_000)).await.is_err());
        }
        assert_eq!(failed, 40);
        device.fail(WELL);
        for number in 0..40 {
            let key = format!("key-{number}");
            // A segment is started again within a second.
            while store(&tier, &key, &bytes(&key, 0, 12_000)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
}

#[test]
fn a_load_that_is_given_up_lets_its_destination_go_though_the_device_hangs() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    let long = bytes("a", 0, 30_000);
    let stat = object("a", &long).stat;
    block_on(async {
        store(&tier, "a", &long).await.unwrap();
        device.fail(HANGS);
        let (sink, outcome) = Sink::new();
        let name = name("a");
        let mut load = tier.load(&name, stat, sink);
        let polled = tokio::time::timeout(Duration::from_millis(30), &mut load).await;
        assert!(polled.is_err(), "the device hangs");
        assert_eq!(*outcome.lock().unwrap(), Outcome::Open);
        drop(load);
        let discarded = async {
            while *outcome.lock().unwrap() == Outcome::Open {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(WATCHDOG, discarded).await.expect("the destination is dropped");
        assert_eq!(*outcome.lock().unwrap(), Outcome::Discarded);
        device.fail(WELL);
        assert_eq!(self::load(&tier, "a", stat).await.unwrap(), Some(long));
    });
}
