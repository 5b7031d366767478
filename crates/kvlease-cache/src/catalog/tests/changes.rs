//! The change log: what it reports, and what waits for it.

use super::*;

/// Takes all changes, without acknowledging them.
fn taken(catalog: &mut Catalog) -> Vec<(ChangeKind, String, bool)> {
    let mut batch = Vec::new();
    catalog.take_changes(&mut batch);
    let shown = |change: Change| (change.kind, change.key.to_string(), change.freed);
    batch.into_iter().map(shown).collect()
}

fn change(kind: ChangeKind, key: &str, freed: bool) -> (ChangeKind, String, bool) {
    (kind, key.to_owned(), freed)
}

#[test]
fn every_publication_and_departure_is_reported_with_its_reason() {
    let mut catalog = catalog_of(2);
    let aborted = reserve(&mut catalog, "aborted", 1, 0).unwrap();
    assert!(catalog.abort(aborted));
    assert!(!catalog.has_changes(), "an object that was never published makes no change");
    store(&mut catalog, "a", 1, 0).unwrap();
    store(&mut catalog, "b", 1, 0).unwrap();
    let read = lease(&mut catalog, "a", 0);
    assert_eq!(catalog.remove("b", "a"), Ok(()));
    let b = catalog.stat("b", "b").unwrap();
    assert!(catalog.remove_corrupt(1, b.generation, |_| ()));
    assert!(catalog.release(&CALLER, read.id, at(1)).is_some());
    let reported = taken(&mut catalog);
    assert_eq!(
        reported,
        [
            change(ChangeKind::Sealed, "a", false),
            change(ChangeKind::Sealed, "b", false),
            change(ChangeKind::Removed, "a", false),
            change(ChangeKind::Corrupt, "b", true),
            change(ChangeKind::Freed, "a", true),
        ]
    );
    catalog.check();
}

#[test]
fn a_change_has_what_a_manifest_stores() {
    let mut catalog = catalog_of(4);
    let id = reserve(&mut catalog, "a", 2, 3).unwrap();
    catalog.seal(id, ByteSize::new(5000), Checksum::new(77), at(5)).unwrap();
    let mut batch = Vec::new();
    catalog.take_changes(&mut batch);
    let info = catalog.stat("b", "a").unwrap();
    let expected = SealedObject {
        bucket: "b",
        key: "a",
        extents: &info.extents,
        len: ByteSize::new(5000),
        checksum: Checksum::new(77),
        generation: info.generation,
        created: at(5),
    };
    assert_eq!(batch[0].object(), expected);
    assert_eq!((batch[0].sequence, catalog.last_change()), (1, 1));
}

#[test]
fn extents_and_slots_are_used_again_only_after_the_acknowledgement() {
    let mut catalog = catalog_of(2);
    store(&mut catalog, "a", 2, 0).unwrap();
    catalog.discard_changes();
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("x").unwrap());
    let ask = |catalog: &mut Catalog| catalog.reserve(&bucket, &key, unit_bytes(1), at(0)).unwrap();
    assert_eq!(ask(&mut catalog), Room::AfterDrain);
    assert_eq!(ask(&mut catalog), Room::AfterDrain, "asking again evicts nothing more");
    assert_eq!(catalog.stats(at(0)).totals.evicted, 1);
    assert_eq!(taken(&mut catalog), [change(ChangeKind::Evicted { copied: false }, "a", true)]);
    assert_eq!(ask(&mut catalog), Room::AfterDrain, "taken is not acknowledged");
    assert_eq!(catalog.stats(at(0)).quarantined, unit_bytes(2));
    catalog.check();
    catalog.acknowledge(catalog.last_change());
    assert!(matches!(ask(&mut catalog), Room::Given(_)));
    catalog.check();
}

#[test]
#[should_panic(expected = "only changes that were taken can be acknowledged")]
fn what_was_not_taken_cannot_be_acknowledged() {
    let mut catalog = catalog_of(1);
    store(&mut catalog, "a", 1, 0).unwrap();
    catalog.acknowledge(1);
}

#[test]
fn a_full_log_holds_up_what_can_wait() {
    let memory_max = ByteSize::kib(256);
    let config = CatalogConfig {
        capacity: ByteSize::mib(4),
        memory_max,
        lease_grace: GRACE,
        free_target: ByteSize::mib(4),
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(ByteSize::mib(4));
    for number in 0..100 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
        lease(&mut catalog, &number.to_string(), 0);
        assert_eq!(catalog.remove("b", &number.to_string()), Ok(()));
        catalog.discard_changes();
    }
    let mut stored = 0;
    while !catalog.log.is_full() {
        store(&mut catalog, &format!("s{stored}"), 1, 0).unwrap();
        stored += 1;
    }
    assert_eq!((catalog.expire(at(1000), 1000), catalog.victims(1)), (vec![], vec![]));
    // Each departure that expiry leads to needs its place.
    let mut ended = 0;
    while ended < 100 {
        catalog.discard_changes();
        let expired = catalog.expire(at(1000), 1000).len();
        assert!((1..=stored).contains(&expired), "{expired} of {stored}");
        ended += expired;
    }
    catalog.check();
}

#[test]
fn what_is_restored_is_reported_at_once() {
    let config = CatalogConfig { capacity: unit_bytes(8), ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(2));
    let places = [[units(0, 3)], [units(3, 5)]];
    let mut restoration = Restoration::default();
    for (number, place) in places.iter().enumerate() {
        restoration.add(&recorded(["a", "b"][number], place, number as u64 + 1), at(0));
    }
    let mut reported = Vec::new();
    catalog.restore(restoration, unit_bytes(8), at(0), |change| reported.push(change.clone()));
    let shown: Vec<_> = reported.iter().map(|c| (c.kind, c.key.as_str(), c.sequence)).collect();
    assert_eq!(shown, [(ChangeKind::Restored, "a", 1), (ChangeKind::Restored, "b", 2)]);
    assert_eq!((catalog.has_changes(), catalog.last_change()), (false, 2));
    catalog.check();
}

#[test]
fn a_reader_of_the_feed_that_fell_behind_is_told_where_to_go_on() {
    let mut catalog = catalog_of(8);
    for key in ["a", "b", "c", "d"] {
        store(&mut catalog, key, 1, 0).unwrap();
    }
    let mut batch = Vec::new();
    catalog.take_changes(&mut batch);
    let mut feed = ChangeFeed::new(2, 1);
    feed.append(batch);
    assert_eq!(feed.read(1).err(), Some(Gap { next: 5 }));
    assert_eq!(feed.read(6).err(), Some(Gap { next: 5 }), "of another incarnation");
    let keys = |from| feed.read(from).unwrap().map(|c| c.key.as_str()).collect::<Vec<_>>();
    assert_eq!((keys(3), keys(4)), (vec!["c", "d"], vec!["d"]));
    assert!(keys(5).is_empty());
}

#[test]
fn a_feed_that_is_made_larger_or_smaller_keeps_the_latest_changes() {
    let mut catalog = catalog_of(8);
    let mut feed = ChangeFeed::new(2, 1);
    let mut append = |feed: &mut ChangeFeed, keys: &[&str]| {
        for key in keys {
            store(&mut catalog, key, 1, 0).unwrap();
        }
        let mut batch = Vec::new();
        catalog.take_changes(&mut batch);
        feed.append(batch);
    };
    append(&mut feed, &["a", "b"]);
    feed.resize(3);
    append(&mut feed, &["c"]);
    assert_eq!((feed.oldest(), feed.next()), (1, 4));
    append(&mut feed, &["d"]);
    assert_eq!(feed.oldest(), 2);
    feed.resize(1);
    assert_eq!((feed.oldest(), feed.next()), (4, 5));
    append(&mut feed, &["e"]);
    assert_eq!((feed.oldest(), feed.next()), (5, 6));
}

#[test]
fn two_catalogs_with_one_seed_are_the_same() {
    let run = |hash_seed: u64| {
        let config =
            CatalogConfig { capacity: unit_bytes(64), hash_seed, ..CatalogConfig::default() };
        let mut catalog = Catalog::new(config, Epoch::new(1));
        catalog.grow(unit_bytes(64));
        for round in 0..300_u64 {
            let key = (round * round % 97).to_string();
            let _ = store(&mut catalog, &key, 1 + round % 5, round);
            if let Ok(lease) = catalog.acquire(&CALLER, "b", &key, TTL, at(round))
                && round % 3 > 0
            {
                catalog.release(&CALLER, lease.id, at(round));
            }
            catalog.expire(at(round), 1);
        }
        // Everything in it, with the tables of names and where each entry is in them.
        (format!("{catalog:?}"), catalog.objects.hash("b", "1"))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).1, run(2).1, "names hash differently under another seed");
}
