//! Views for operators: the largest buckets, the ages of leases, the latest events.

use kvlease_engine::{Engine, EventKind, LargestBuckets};
use kvlease_types::{BucketName, ByteSize, Key};

use crate::fixture::{CALLER, Place, TTL, lease, remove, run, stats, store};

/// Stores an object of this length in a bucket.
fn store_in(engine: &Engine, bucket: &str, len: usize) {
    let (bucket, key) = (BucketName::new(bucket).unwrap(), Key::new("k").unwrap());
    let mut put = engine.put(&CALLER, bucket, key, Some(ByteSize::new(len as u64))).unwrap();
    put.write(&vec![1; len]).unwrap();
    put.seal().unwrap();
}

#[test]
fn the_largest_buckets_come_first_and_the_others_in_sum() {
    let place = Place::new();
    let engine = place.engine(1);
    assert_eq!(engine.largest_buckets(3), LargestBuckets::default());
    for (bucket, len) in [("small", 1), ("b", 20), ("large", 300), ("a", 20), ("c", 7)] {
        store_in(&engine, bucket, len);
    }
    let names = |limit: usize| -> Vec<_> {
        let found = engine.largest_buckets(limit).largest;
        found.iter().map(|info| (info.bucket.to_string(), info.stored.bytes())).collect()
    };
    let expected = [("large", 300), ("a", 20), ("b", 20)].map(|(name, len)| (name.to_owned(), len));
    assert_eq!(names(3), expected);
    let found = engine.largest_buckets(3);
    assert_eq!((found.others, found.other_objects, found.other_stored), (2, 2, 8));
    let found = engine.largest_buckets(5);
    assert_eq!((found.largest.len(), found.others, found.other_stored), (5, 0, 0));
    let found = engine.largest_buckets(0);
    assert_eq!((found.largest.len(), found.others, found.other_stored), (0, 5, 348));
}

#[test]
fn live_leases_have_an_age_and_ended_ones_have_none() {
    let place = Place::new();
    let engine = place.engine(1);
    assert_eq!(engine.lease_ages().counts.iter().sum::<u64>(), 0);
    store(&engine, "a", b"bytes").unwrap();
    let grants: Vec<_> = (0..3).map(|_| run(lease(&engine, "a", None, TTL)).unwrap()).collect();
    assert_eq!(engine.lease_ages().counts.iter().sum::<u64>(), stats(&engine).leases_live);
    drop(grants);
    assert_eq!(engine.lease_ages().counts.iter().sum::<u64>(), 0);
}

#[test]
fn the_latest_events_are_told_without_a_subscriber() {
    let place = Place::new();
    let engine = place.engine(1);
    assert_eq!(engine.latest_events(5), []);
    // A removal is followed by a change that is no event.
    for key in ["a", "b", "c"] {
        store(&engine, key, b"bytes").unwrap();
        remove(&engine, key).unwrap();
    }
    let told = |max: usize| -> Vec<_> {
        let events = engine.latest_events(max).into_iter();
        events.map(|event| (event.kind, event.key.to_string())).collect()
    };
    let [removed, sealed] = [EventKind::Removed, EventKind::Sealed];
    let expected = [(removed, "c"), (sealed, "c"), (removed, "b"), (sealed, "b")];
    assert_eq!(told(4), expected.map(|(kind, key)| (kind, key.to_owned())));
    assert_eq!(told(100).len(), 6);
    for _ in 0..300 {
        store(&engine, "d", b"bytes").unwrap();
        remove(&engine, "d").unwrap();
    }
    let latest = told(1000);
    assert!(latest.len() <= 256 && latest.iter().all(|(_, key)| key == "d"), "{}", latest.len());
}
