//! Objects that leave together.

use super::*;

/// Key of a rank's object of a chunk.
fn member(chunk: u64, rank: u64) -> String {
    format!("m@4@{rank}@{chunk:x}@half")
}

/// A full catalog of chunks from 1 on, with an object of one unit for each of four ranks.
fn full(chunks: u64, eviction: EvictionKind) -> Catalog {
    let capacity = unit_bytes(4 * chunks);
    let mut catalog = Catalog::new(
        CatalogConfig { capacity, lease_grace: GRACE, eviction, ..CatalogConfig::default() },
        Epoch::new(1),
    );
    catalog.grow(capacity);
    // As ranks do that store at the same time: rank by rank.
    for rank in 0..4 {
        for chunk in 1..=chunks {
            store(&mut catalog, &member(chunk, rank), 1, 0).unwrap();
        }
    }
    catalog.check();
    catalog
}

/// Ranks whose objects of a chunk are there.
fn ranks(catalog: &Catalog, chunk: u64) -> Vec<u64> {
    (0..4).filter(|rank| catalog.stat("b", &member(chunk, *rank)).is_some()).collect()
}

fn read(catalog: &mut Catalog, key: &str) {
    let lease = lease(catalog, key, 0);
    assert!(catalog.release(&CALLER, lease.id, at(1)).is_some());
}

#[test]
fn the_objects_of_all_ranks_leave_before_one_of_another_chunk_does() {
    for eviction in EvictionKind::ALL {
        let mut catalog = full(4, eviction);
        for number in 0..8 {
            store(&mut catalog, &format!("new {number}"), 1, 1).unwrap();
            let broken = (1..=4).filter(|chunk| ![0, 4].contains(&ranks(&catalog, *chunk).len()));
            assert!(broken.count() <= 1, "{eviction}: one group leaves at a time");
            catalog.check();
        }
        let whole = (1..=4).filter(|chunk| ranks(&catalog, *chunk).len() == 4);
        assert_eq!(whole.count(), 2, "{eviction}");
    }
}

#[test]
fn a_use_of_one_is_a_use_of_all() {
    for rank in 0..4 {
        let mut catalog = full(3, EvictionKind::Lru);
        read(&mut catalog, &member(1, rank));
        store(&mut catalog, "new", 8, 1).unwrap();
        assert_eq!([1, 2, 3].map(|chunk| ranks(&catalog, chunk).len()), [4, 0, 0]);
        catalog.check();
    }
}

#[test]
fn a_use_by_all_ranks_is_one_use() {
    let mut catalog = full(3, EvictionKind::S3Fifo);
    let uses = |catalog: &mut Catalog| {
        let slot = catalog.objects.find("b", &member(1, 0)).unwrap();
        let group = catalog.objects[slot].group;
        catalog.groups.group(group).uses
    };
    for used in 1..=3 {
        // Each looks up, and then reads.
        for rank in [0, 0, 2, 2, 3, 3, 1, 1] {
            read(&mut catalog, &member(1, rank));
        }
        assert_eq!(uses(&mut catalog), 2 * used);
    }
    catalog.objects[0].uses = u16::MAX;
    let first = catalog.objects[0].group;
    catalog.groups.group(first).uses = u16::MAX;
    read(&mut catalog, &member(1, 0));
    assert_eq!(uses(&mut catalog), 0, "it begins anew");
    catalog.check();
}

#[test]
fn a_leased_object_stays_and_leaves_next_when_its_lease_ends() {
    let mut catalog = full(2, EvictionKind::Lru);
    let held = lease(&mut catalog, &member(1, 2), 0);
    read(&mut catalog, &member(2, 0));
    store(&mut catalog, "new", 3, 1).unwrap();
    assert_eq!((ranks(&catalog, 1), ranks(&catalog, 2).len()), (vec![2], 4));
    catalog.check();
    assert!(catalog.release(&CALLER, held.id, at(2)).is_some());
    catalog.check();
    store(&mut catalog, "newer", 1, 2).unwrap();
    assert_eq!((ranks(&catalog, 1).len(), ranks(&catalog, 2).len()), (0, 4));
    catalog.check();
}

#[test]
fn a_victim_that_is_read_is_spared_with_its_group_until_one_of_it_has_left() {
    let mut catalog = Catalog::new(
        CatalogConfig {
            capacity: unit_bytes(12),
            free_target: unit_bytes(2),
            ..CatalogConfig::default()
        },
        Epoch::new(1),
    );
    catalog.grow(unit_bytes(12));
    for (chunk, rank) in (1..=3).flat_map(|chunk| (0..4).map(move |rank| (chunk, rank))) {
        store(&mut catalog, &member(chunk, rank), 1, 0).unwrap();
    }
    catalog.discard_changes();
    let victims = catalog.victims(100);
    assert_eq!(victims.len(), 2, "no more are handed over than are needed");
    catalog.check();
    // One that was not handed over is a victim as well.
    read(&mut catalog, &member(1, 3));
    assert!(victims.iter().all(|victim| catalog.victim(victim).is_none()));
    catalog.check();
    let victims = catalog.victims(100);
    assert!(catalog.give_up(&victims[0], true));
    assert_eq!(ranks(&catalog, 2), [1, 2, 3]);
    read(&mut catalog, &member(2, 3));
    assert!(catalog.victim(&victims[1]).is_some(), "what is left is of no more use");
    catalog.check();
    catalog.discard_changes();
    // Unless it is stored again.
    store(&mut catalog, &member(2, 0), 1, 1).unwrap();
    assert!(catalog.victim(&victims[1]).is_none());
    catalog.check();
    store(&mut catalog, "new", 4, 1).unwrap();
    assert_eq!([1, 2, 3].map(|chunk| ranks(&catalog, chunk).len()), [4, 4, 0]);
    catalog.check();
}

#[test]
fn what_comes_too_late_for_its_group_leaves_next() {
    let mut catalog = catalog_of(8);
    for rank in 0..3 {
        store(&mut catalog, &member(1, rank), 1, 0).unwrap();
    }
    store(&mut catalog, &member(2, 0), 5, 0).unwrap();
    store(&mut catalog, "new", 1, 0).unwrap();
    assert_eq!(ranks(&catalog, 1), [1, 2]);
    // One of the others is there still, and then none.
    store(&mut catalog, &member(1, 3), 1, 0).unwrap();
    assert_eq!(ranks(&catalog, 1), [2, 3]);
    catalog.check();
    store(&mut catalog, "newer", 2, 0).unwrap();
    assert_eq!((ranks(&catalog, 1).len(), ranks(&catalog, 2).len()), (0, 1));
    lease(&mut catalog, &member(2, 0), 0);
    assert_eq!(catalog.remove("b", "newer"), Ok(()));
    // It is stored again, and leaves no sooner than others.
    for rank in [3, 0] {
        store(&mut catalog, &member(1, rank), 1, 0).unwrap();
        catalog.check();
    }
    store(&mut catalog, "newest", 1, 0).unwrap();
    assert_eq!(ranks(&catalog, 1), [0, 3]);
}

#[test]
fn a_group_goes_on_without_an_object_that_is_removed() {
    for removed in 0..4 {
        let mut catalog = full(2, EvictionKind::Lru);
        let held = lease(&mut catalog, &member(1, (removed + 1) % 4), 0);
        assert_eq!(catalog.remove("b", &member(1, removed)), Ok(()));
        catalog.check();
        assert!(catalog.release(&CALLER, held.id, at(1)).is_some());
        catalog.check();
        store(&mut catalog, "new", 5, 1).unwrap();
        assert_eq!((ranks(&catalog, 1).len(), ranks(&catalog, 2).len()), (3, 0));
        for rank in ranks(&catalog, 1) {
            assert_eq!(catalog.remove("b", &member(1, rank)), Ok(()));
            catalog.check();
        }
    }
}

#[test]
fn chunks_of_other_buckets_and_engines_are_other_groups() {
    let mut catalog = catalog_of(8);
    let add = |catalog: &mut Catalog, bucket: &str, key: &str| {
        let (bucket, key) = (BucketName::new(bucket).unwrap(), Key::new(key).unwrap());
        let room = catalog.reserve(&bucket, &key, unit_bytes(1), at(0)).unwrap();
        catalog.seal(room.given().unwrap().id, unit_bytes(1), Checksum::new(9), at(0)).unwrap();
    };
    for bucket in ["b", "c"] {
        add(&mut catalog, bucket, "m@2@0@a@half");
        add(&mut catalog, bucket, "m@4@0@a@half");
        add(&mut catalog, bucket, "m@2@0@a@bfloat16");
    }
    assert_eq!(catalog.groups.iter().count(), 0);
    add(&mut catalog, "c", "m@2@1@a@half");
    assert_eq!(catalog.groups.iter().count(), 1);
    add(&mut catalog, "c", "m@4@3@a@half");
    assert_eq!(catalog.groups.iter().count(), 2);
    catalog.check();
}

#[test]
fn a_restored_group_leaves_together() {
    let mut catalog = Catalog::new(
        CatalogConfig { capacity: unit_bytes(8), ..CatalogConfig::default() },
        Epoch::new(2),
    );
    let mut restoration = Restoration::default();
    // One is leased still, which makes its chunk the one that was used last.
    for (number, (rank, chunk)) in
        (0..4).flat_map(|rank| [1, 2].map(|chunk| (rank, chunk))).enumerate()
    {
        let (key, place) = (member(chunk, rank), [units(number as u64, 1)]);
        let until = if (chunk, rank) == (2, 3) { 50 } else { 0 };
        restoration.add(&recorded(&key, &place, number as u64), at(until));
    }
    let restored = catalog.restore(restoration, unit_bytes(8), at(0), |_| ());
    assert_eq!(restored.objects, 8);
    catalog.check();
    store(&mut catalog, "new", 4, 1).unwrap();
    assert_eq!([1, 2].map(|chunk| ranks(&catalog, chunk).len()), [0, 4]);
    lease(&mut catalog, "new", 1);
    store(&mut catalog, "newer", 3, 1).unwrap();
    assert_eq!(ranks(&catalog, 2), [3]);
    catalog.check();
    catalog.expire(at(60), 10);
    catalog.check();
    lease(&mut catalog, "newer", 60);
    store(&mut catalog, "newest", 1, 60).unwrap();
    assert!(ranks(&catalog, 2).is_empty());
}
