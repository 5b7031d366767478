//! Eviction ahead of need.

use super::*;

/// A full catalog of `units` objects of one unit that keeps 4 units free.
fn full(units: u64, eviction: EvictionKind) -> Catalog {
    let capacity = unit_bytes(units);
    let config = CatalogConfig {
        capacity,
        free_target: unit_bytes(4),
        eviction,
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    for number in 0..units {
        assert!(!catalog.is_short_of_room() || number > units - 2, "{number}");
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    catalog.discard_changes();
    catalog
}

fn key(catalog: &Catalog, victim: &Victim) -> String {
    catalog.victim(victim).expect("it is a victim").key.to_string()
}

fn keys(catalog: &Catalog, victims: &[Victim]) -> Vec<String> {
    victims.iter().map(|victim| key(catalog, victim)).collect()
}

#[test]
fn victims_serve_until_they_are_given_up() {
    let mut catalog = full(8, EvictionKind::Lru);
    assert!(catalog.is_short_of_room());
    let victims = catalog.victims(100);
    assert_eq!(keys(&catalog, &victims), ["0", "1", "2", "3"]);
    assert!(!catalog.is_short_of_room(), "what is chosen counts");
    assert_eq!(catalog.victims(100), []);
    assert!(keys(&catalog, &victims).iter().all(|key| catalog.stat("b", key).is_some()));
    assert_eq!(catalog.stats(at(0)).evictable, unit_bytes(8));
    catalog.check();
    for victim in &victims {
        assert!(catalog.give_up(victim, false));
        assert!(!catalog.give_up(victim, false), "a victim is given up once");
    }
    assert_eq!(catalog.stats(at(0)).free, ByteSize::ZERO, "not acknowledged yet");
    catalog.discard_changes();
    assert_eq!(catalog.stats(at(0)).free, unit_bytes(4));
    // So a write finds space at once.
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("x").unwrap());
    let room = catalog.reserve(&bucket, &key, unit_bytes(4), at(0)).unwrap();
    assert!(matches!(room, Room::Given(_)));
    catalog.check();
}

#[test]
fn a_victim_that_is_acquired_is_a_victim_no_longer() {
    for eviction in EvictionKind::ALL {
        let mut catalog = full(8, eviction);
        let victims = catalog.victims(100);
        let [acquired, removed] = [0, 1].map(|number| key(&catalog, &victims[number]));
        let kept = lease(&mut catalog, &acquired, 0);
        assert_eq!(catalog.remove("b", &removed), Ok(()));
        assert_eq!(catalog.victim(&victims[0]), None);
        catalog.check();
        let given_up = victims.iter().filter(|victim| catalog.give_up(victim, false));
        assert_eq!(given_up.count(), 2);
        assert!(catalog.stat("b", &acquired).is_some());
        assert!(catalog.release(&CALLER, kept.id, at(1)).is_some());
        catalog.check();
        // Its turn comes again.
        while catalog.stats(at(1)).objects > 0 {
            let more = catalog.victims(100);
            assert!(more.iter().all(|victim| catalog.give_up(victim, false)));
            catalog.discard_changes();
            catalog.check();
            let left = catalog.stats(at(1)).objects;
            reserve(&mut catalog, &format!("x{left}"), 4, 1).unwrap();
        }
    }
}

#[test]
fn a_write_that_finds_no_space_evicts_the_victims_first() {
    let mut catalog = full(8, EvictionKind::Lru);
    let victims = catalog.victims(2);
    assert_eq!(keys(&catalog, &victims), ["0", "1"]);
    lease(&mut catalog, "2", 0);
    store(&mut catalog, "x", 3, 0).unwrap();
    let left: Vec<_> = ["0", "1", "2", "3", "4"]
        .into_iter()
        .filter(|key| catalog.stat("b", key).is_some())
        .collect();
    assert_eq!(left, ["2", "4"]);
    assert!(!catalog.give_up(&victims[0], true), "a copy that came too late is not counted");
    assert_eq!(catalog.acquire(&CALLER, "b", "0", TTL, at(1)), Err(Miss::Evicted));
    catalog.check();
}

#[test]
fn what_was_copied_is_elsewhere_until_it_is_stored_again() {
    let mut catalog = full(8, EvictionKind::Lru);
    let victims = catalog.victims(2);
    assert!(catalog.give_up(&victims[0], true) && catalog.give_up(&victims[1], false));
    let ask = |catalog: &mut Catalog, key: &str| catalog.acquire(&CALLER, "b", key, TTL, at(1));
    assert_eq!(ask(&mut catalog, "0"), Err(Miss::Elsewhere));
    assert_eq!(ask(&mut catalog, "1"), Err(Miss::Evicted));
    // A promotion that fails leaves it where it was.
    let id = reserve(&mut catalog, "0", 1, 1).unwrap();
    assert_eq!(ask(&mut catalog, "0"), Err(Miss::Pending));
    assert!(catalog.abort(id));
    assert_eq!(ask(&mut catalog, "0"), Err(Miss::Elsewhere));
    store(&mut catalog, "0", 1, 1).unwrap();
    assert_eq!(catalog.remove("b", "0"), Ok(()));
    assert_eq!(ask(&mut catalog, "0"), Err(Miss::Absent));
    catalog.check();
}

#[test]
fn nothing_is_chosen_for_space_that_is_still_to_be_populated() {
    let config = CatalogConfig {
        capacity: unit_bytes(64),
        free_target: unit_bytes(16),
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(unit_bytes(4));
    for number in 0..4 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    assert!(!catalog.is_short_of_room());
    assert_eq!(catalog.victims(10), []);
    catalog.shrink_capacity(unit_bytes(4));
    assert!(catalog.is_short_of_room());
}

#[test]
fn the_free_target_follows_the_capacity_within_bounds() {
    let target = |gib: u64| CatalogConfig::free_target_for(ByteSize::gib(gib));
    assert_eq!(CatalogConfig::free_target_for(ByteSize::mib(1023)), ByteSize::ZERO);
    assert_eq!(target(1), ByteSize::mib(8));
    assert_eq!(target(1000), FREE_TARGET_MAX);
}
