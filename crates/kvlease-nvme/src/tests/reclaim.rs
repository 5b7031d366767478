//! Reclaim: room for new objects, the ones that are read stay.

use std::{collections::BTreeSet, sync::Arc};

use kvlease_tier::{Presence, Stored, Tier};

use super::{
    GEOMETRY,
    fixture::{BUCKET, block_on, bytes, load, object, store},
    memory::MemoryDevice,
    open,
};
use crate::NvmeTier;

const LEN: usize = 12_000;

async fn put(tier: &NvmeTier, key: &str) {
    let stored = store(tier, key, &bytes(key, 0, LEN)).await.unwrap();
    assert!(matches!(stored, Stored::Written(_)), "{key}");
}

/// Whether the object is there, and right.
async fn has(tier: &NvmeTier, key: &str) -> bool {
    let bytes = bytes(key, 0, LEN);
    let loaded = load(tier, key, object(key, &bytes).stat).await.unwrap();
    assert!(loaded.as_ref().is_none_or(|loaded| *loaded == bytes), "{key}");
    loaded.is_some()
}

async fn keys(tier: &NvmeTier, prefix: &str, limit: usize) -> Vec<String> {
    let mut keys = Vec::new();
    let mut from = None;
    loop {
        let page = tier.list(BUCKET, prefix, from.as_deref(), limit).await.unwrap();
        assert!(page.objects.len() <= limit);
        keys.extend(page.objects.iter().map(|object| object.key.as_str().to_owned()));
        from = page.next;
        if from.is_none() {
            return keys;
        }
    }
}

#[test]
fn new_objects_find_room_and_objects_that_are_read_stay() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        put(&tier, "hot").await;
        for number in 0..300 {
            put(&tier, &format!("cold-{number}")).await;
            assert!(has(&tier, "hot").await, "after {number} objects");
        }
        assert!(!has(&tier, "cold-0").await);
        assert!(has(&tier, "cold-299").await);
        let usage = tier.usage();
        assert!(usage.used.unwrap() <= usage.capacity.unwrap());
        assert!(usage.objects.unwrap() > 20, "{usage:?}");
        assert_eq!(usage.objects.unwrap() + usage.forgotten.unwrap(), 301, "{usage:?}");
        tier.close().await.unwrap();
    });
    drop(tier);
    let (tier, recovery) = open(&device);
    assert_eq!(recovery.dropped, 0);
    block_on(async {
        assert!(has(&tier, "hot").await);
        assert!(has(&tier, "cold-299").await);
    });
}

#[test]
fn room_is_made_while_all_objects_are_read_and_many_write() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    let tier = Arc::new(tier);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let tier = Arc::clone(&tier);
            std::thread::spawn(move || {
                block_on(async {
                    for number in 0..80 {
                        put(&tier, &format!("{thread}-{number}")).await;
                        for back in 0..number.min(6) {
                            has(&tier, &format!("{thread}-{}", number - back)).await;
                        }
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let usage = tier.usage();
    assert!(usage.objects.unwrap() > 10, "{usage:?}");
    assert!(usage.used.unwrap() <= usage.capacity.unwrap(), "{usage:?}");
}

#[test]
fn a_listing_names_each_object_once_and_keeps_to_bucket_prefix_and_limit() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        let expected: BTreeSet<String> = (0..10).map(|number| format!("a-{number}")).collect();
        for key in &expected {
            put(&tier, key).await;
            put(&tier, key.replace('a', "b").as_str()).await;
        }
        tier.remove(BUCKET, &["b-1"]).await.unwrap();
        for limit in [1, 7, 1000] {
            let found = keys(&tier, "a-", limit).await;
            assert_eq!(found.len(), expected.len(), "limit {limit}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "limit {limit}");
        }
        assert_eq!(keys(&tier, "", 1000).await.len(), 19);
        assert!(keys(&tier, "b-1", 10).await.iter().all(|key| key != "b-1"));
        assert!(tier.list("other", "", None, 9).await.unwrap().objects.is_empty());
        assert!(tier.list(BUCKET, "", Some("nonsense"), 9).await.is_err());
    });
}

#[test]
fn a_removal_is_not_undone_when_its_tombstone_is_reclaimed() {
    let device = MemoryDevice::new(&GEOMETRY);
    let (tier, _) = open(&device);
    block_on(async {
        put(&tier, "gone").await;
        tier.remove(BUCKET, &["gone"]).await.unwrap();
        for number in 0..200 {
            put(&tier, &format!("other-{number}")).await;
            if number % 20 == 0 {
                let copy = MemoryDevice::with(device.bytes());
                let (tier, _) = open(&copy);
                assert_eq!(tier.presence(BUCKET, "gone"), Presence::Absent, "{number}");
            }
        }
    });
}
