//! Another eviction policy takes the objects over, while the catalog serves.

use super::*;

/// Objects that there are when a change begins.
const OBJECTS: u64 = 100;

/// Objects that a step hands over.
const STEP: u32 = 10;

/// A full catalog under a policy, in which the objects with even numbers were read, and every tenth one is leased.
fn used(eviction: EvictionKind) -> (Catalog, Vec<LeaseId>) {
    let capacity = unit_bytes(OBJECTS);
    let config = CatalogConfig { capacity, eviction, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    for number in 0..OBJECTS {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    for number in (0..OBJECTS).step_by(2) {
        let lease = lease(&mut catalog, &number.to_string(), 0);
        assert!(catalog.release(&CALLER, lease.id, at(0)).is_some());
    }
    let tenth = (0..OBJECTS).step_by(10);
    let leases = tenth.map(|number| lease(&mut catalog, &number.to_string(), 0).id).collect();
    (catalog, leases)
}

/// Keys of the objects that are there.
fn present(catalog: &Catalog) -> Vec<String> {
    let keys = (0..2 * OBJECTS).map(|number| number.to_string());
    keys.filter(|key| catalog.stat("b", key).is_some()).collect()
}

#[test]
fn a_change_takes_steps_between_which_objects_come_are_read_and_leave() {
    for (from, to) in
        EvictionKind::ALL.into_iter().flat_map(|from| EvictionKind::ALL.map(|to| (from, to)))
    {
        let (mut catalog, leases) = used(from);
        catalog.change_eviction(Successor::new(to, catalog.slots())).unwrap();
        assert_eq!(catalog.config().eviction, to);
        let mut leases = leases.into_iter();
        let (mut steps, mut next) = (0, OBJECTS);
        while catalog.hand_over(STEP).is_none() {
            catalog.check();
            // One comes, for which another one leaves; a lease ends, and one is read.
            store(&mut catalog, &next.to_string(), 1, 1).unwrap();
            next += 1;
            if let Some(id) = leases.next() {
                assert!(catalog.release(&CALLER, id, at(1)).is_some());
            }
            let read = lease(&mut catalog, "98", 1);
            assert!(catalog.release(&CALLER, read.id, at(1)).is_some());
            catalog.check();
            steps += 1;
        }
        assert!((9..30).contains(&steps), "{from} {to}: {steps} steps of {STEP} for {OBJECTS}");
        assert!(!catalog.is_changing_eviction());
        catalog.check();
        assert_eq!(present(&catalog).len() as u64, OBJECTS, "{from} {to}");
        // The new policy goes on alone.
        for number in 0..OBJECTS {
            store(&mut catalog, &format!("last {number}"), 1, 2).unwrap();
        }
        catalog.check();
    }
}

#[test]
fn what_would_have_left_first_leaves_first() {
    let (mut catalog, leases) = used(EvictionKind::Lru);
    for id in leases {
        assert!(catalog.release(&CALLER, id, at(0)).is_some());
    }
    catalog.change_eviction(Successor::new(EvictionKind::S3Fifo, catalog.slots())).unwrap();
    let odd: Vec<String> = (1..OBJECTS).step_by(2).map(|number| number.to_string()).collect();
    for number in 0..odd.len() as u64 {
        if number % 10 == 3 {
            catalog.hand_over(STEP);
        }
        store(&mut catalog, &(OBJECTS + number).to_string(), 1, 1).unwrap();
        let present = present(&catalog);
        assert!(!present.contains(&odd[number as usize]), "it was not read, and came first");
    }
    assert!((0..OBJECTS).step_by(2).all(|even| catalog.stat("b", &even.to_string()).is_some()));
}

#[test]
fn another_change_waits_for_the_one_before() {
    let (mut catalog, _) = used(EvictionKind::Lru);
    catalog.change_eviction(Successor::new(EvictionKind::S3Fifo, catalog.slots())).unwrap();
    let refused = catalog.change_eviction(Successor::new(EvictionKind::Lru, 0));
    assert_eq!(refused.unwrap_err().kind, EvictionKind::Lru);
    assert_eq!(catalog.config().eviction, EvictionKind::S3Fifo);
    while catalog.hand_over(STEP).is_none() {}
    assert!(catalog.change_eviction(Successor::new(EvictionKind::Lru, 0)).is_ok());
}
