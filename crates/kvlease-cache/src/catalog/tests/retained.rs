//! Retained objects: no eviction takes them.

use super::*;

/// A catalog of `capacity` units with a retained object of two of them.
fn with_retained(capacity: u64) -> Catalog {
    let mut catalog = catalog_of(capacity);
    let (bucket, key) = (BucketName::retained("job").unwrap(), Key::new("shard").unwrap());
    let room = catalog.reserve(&bucket, &key, unit_bytes(2), at(0)).unwrap();
    catalog.seal(room.given().unwrap().id, unit_bytes(2), Checksum::new(9), at(0)).unwrap();
    catalog.check();
    catalog
}

#[test]
fn a_retained_object_stays_when_others_are_evicted_and_leaves_when_it_is_removed() {
    let mut catalog = with_retained(8);
    let bucket = BucketName::retained("job").unwrap();
    for number in 0..40 {
        store(&mut catalog, &number.to_string(), 3, 1).unwrap();
        assert!(catalog.stat(bucket.as_str(), "shard").is_some());
        catalog.check();
    }
    assert_eq!(store(&mut catalog, "x", 7, 1), Err(WriteRefused::OnlyLeased));
    catalog.remove(bucket.as_str(), "shard").unwrap();
    catalog.check();
    assert_eq!(store(&mut catalog, "x", 7, 1), Ok(()));
}

#[test]
fn the_end_of_a_lease_does_not_make_a_retained_object_evictable() {
    let mut catalog = with_retained(4);
    let bucket = BucketName::retained("job").unwrap();
    let lease = |catalog: &mut Catalog, now| {
        catalog.acquire(&CALLER, bucket.as_str(), "shard", TTL, at(now)).unwrap()
    };
    let first = lease(&mut catalog, 0);
    assert!(catalog.release(&CALLER, first.id, at(1)).is_some());
    catalog.check();
    lease(&mut catalog, 1);
    catalog.expire(at(1000), 10);
    catalog.check();
    assert_eq!(store(&mut catalog, "x", 3, 1000), Err(WriteRefused::OnlyLeased));
    // One that is removed under a lease waits for it, as any object does.
    let last = lease(&mut catalog, 1000);
    catalog.remove(bucket.as_str(), "shard").unwrap();
    catalog.check();
    assert_eq!(store(&mut catalog, "x", 3, 1000), Err(WriteRefused::OnlyLeased));
    assert!(catalog.release(&CALLER, last.id, at(1001)).is_some());
    assert_eq!(store(&mut catalog, "x", 3, 1001), Ok(()));
    catalog.check();
}

#[test]
fn a_retained_object_is_retained_after_a_restart_and_comes_before_others() {
    let config = CatalogConfig {
        capacity: ByteSize::gib(1),
        memory_max: ByteSize::kib(16),
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(2));
    let mut restoration = Restoration::default();
    let bucket = BucketName::retained("job").unwrap();
    let place = [units(0, 1)];
    let oldest = SealedObject { bucket: bucket.as_str(), ..recorded("shard", &place, 0) };
    restoration.add(&oldest, at(0));
    for age in 1..1000 {
        restoration.add(&recorded(&age.to_string(), &[units(age, 1)], age), at(0));
    }
    let restored = catalog.restore(restoration, ByteSize::gib(1), at(0), |_| ());
    assert!(restored.beyond_memory > 0, "the memory is what limits the objects");
    assert!(catalog.stat(bucket.as_str(), "shard").is_some());
    catalog.check();
    for number in 0..1000 {
        store(&mut catalog, &format!("new{number}"), 1, 1).unwrap();
    }
    assert!(catalog.stat(bucket.as_str(), "shard").is_some());
    catalog.check();
}
