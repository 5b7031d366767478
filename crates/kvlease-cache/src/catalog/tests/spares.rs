//! Space that is reserved ahead of need, and named when it is sealed.

use super::*;

fn seal(catalog: &mut Catalog, id: WriteId, key: &str, units: u64) -> Result<(), WriteRefused> {
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
    catalog.seal_spare(id, (&bucket, &key), unit_bytes(units), Checksum::new(7), at(1))
}

#[test]
fn a_spare_gets_its_name_when_it_is_sealed_and_gives_back_what_it_does_not_need() {
    let mut catalog = catalog_of(8);
    let spare = catalog.reserve_spare(unit_bytes(3)).unwrap();
    assert_eq!((spare.extents.len(), spare.extents[0].len), (1, unit_bytes(3)));
    catalog.check();
    let later = reserve(&mut catalog, "later", 1, 0).unwrap();
    assert_eq!(seal(&mut catalog, spare.id, "k", 2), Ok(()));
    catalog.check();
    let sealed = catalog.stat("b", "k").unwrap();
    assert_eq!((sealed.len, sealed.checksum), (unit_bytes(2), Checksum::new(7)));
    assert_eq!(sealed.extents[0].offset, spare.extents[0].offset);
    let later = catalog.seal(later, unit_bytes(1), Checksum::new(1), at(1));
    later.and_then(|()| store(&mut catalog, "more", 5, 1)).unwrap();
    assert_eq!(seal(&mut catalog, spare.id, "again", 1), Err(WriteRefused::Unknown));
    catalog.check();
}

#[test]
fn of_two_objects_of_one_name_the_later_has_the_higher_generation() {
    let mut catalog = catalog_of(8);
    let spare = catalog.reserve_spare(UNIT).unwrap();
    store(&mut catalog, "k", 1, 0).unwrap();
    let first = lease(&mut catalog, "k", 0).generation;
    catalog.remove("b", "k").unwrap();
    seal(&mut catalog, spare.id, "k", 1).unwrap();
    assert!(lease(&mut catalog, "k", 1).generation > first);
}

#[test]
fn a_spare_whose_name_is_taken_stays_as_it_is() {
    let mut catalog = catalog_of(8);
    store(&mut catalog, "there", 1, 0).unwrap();
    let pending = reserve(&mut catalog, "pending", 1, 0).unwrap();
    let spare = catalog.reserve_spare(UNIT).unwrap().id;
    assert_eq!(seal(&mut catalog, spare, "there", 1), Err(WriteRefused::Exists));
    assert_eq!(seal(&mut catalog, spare, "pending", 1), Err(WriteRefused::Pending));
    let reserved = UNIT;
    let beyond = Err(WriteRefused::BeyondReservation { reserved });
    assert_eq!(seal(&mut catalog, spare, "long", 2), beyond);
    assert_eq!(seal(&mut catalog, pending, "other", 1), Err(WriteRefused::Unknown), "no spare");
    catalog.check();
    assert_eq!(seal(&mut catalog, spare, "k", 1), Ok(()));
    catalog.check();
}

#[test]
fn nothing_is_evicted_for_a_spare_and_half_of_the_free_target_is_left() {
    let config = CatalogConfig {
        capacity: unit_bytes(8),
        free_target: unit_bytes(4),
        lease_grace: GRACE,
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(unit_bytes(8));
    store(&mut catalog, "a", 5, 0).unwrap();
    assert_eq!(catalog.reserve_spare(unit_bytes(2)), Err(WriteRefused::OnlyLeased));
    let spare = catalog.reserve_spare(UNIT).unwrap();
    assert_eq!(catalog.reserve_spare(UNIT), Err(WriteRefused::OnlyLeased));
    assert!(catalog.stat("b", "a").is_some());
    assert!(catalog.abort(spare.id) && !catalog.abort(spare.id));
    assert_eq!(catalog.stats(at(1)).free, unit_bytes(3));
    catalog.check();
}
