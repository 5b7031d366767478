//! Errors of the device: calls fail, nothing wrong is served, and all is well once it works again.

use kvlease_tier::{Presence, Tier, TierError};

use super::{
    GEOMETRY,
    fixture::{BUCKET, block_on, bytes, load, object, store},
    memory::{Failing, MemoryDevice},
    open,
};

const READS: Failing = Failing { reads: true, writes: false, syncs: false };
const WRITES: Failing = Failing { reads: false, writes: true, syncs: false };
const SYNCS: Failing = Failing { reads: false, writes: false, syncs: true };

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
            device.fail(Failing::default());
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
        device.fail(Failing::default());
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
        device.fail(Failing::default());
        for number in 0..40 {
            let key = format!("key-{number}");
            // A segment is started again within a second.
            while store(&tier, &key, &bytes(&key, 0, 12_000)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    });
}
