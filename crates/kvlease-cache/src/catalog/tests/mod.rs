mod ahead;
mod buckets;
mod changes;
mod groups;
mod policy_change;
mod quotas;
mod retained;
mod spares;
mod victims;

use std::time::Duration;

use kvlease_types::{
    BucketName, ByteSize, Caller, Checksum, Epoch, Extent, Key, LeaseId, Miss, Offset,
    SealedObject, Timestamp, WriteRefused,
};

use super::*;
use crate::*;

const CALLER: Caller = Caller::DAEMON;
const TTL: Duration = Duration::from_nanos(100);
const GRACE: Duration = Duration::from_nanos(50);

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn catalog_of(units: u64) -> Catalog {
    let capacity = unit_bytes(units);
    let config = CatalogConfig { capacity, lease_grace: GRACE, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    catalog
}

fn reserve(
    catalog: &mut Catalog,
    key: &str,
    units: u64,
    now: u64,
) -> Result<WriteId, WriteRefused> {
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
    loop {
        match catalog.reserve(&bucket, &key, unit_bytes(units), at(now))? {
            Room::Given(reservation) => return Ok(reservation.id),
            Room::AfterDrain => catalog.discard_changes(),
        }
    }
}

fn store(catalog: &mut Catalog, key: &str, units: u64, now: u64) -> Result<(), WriteRefused> {
    let id = reserve(catalog, key, units, now)?;
    catalog.seal(id, unit_bytes(units), Checksum::new(9), at(now)).unwrap();
    Ok(())
}

fn lease(catalog: &mut Catalog, key: &str, now: u64) -> Lease {
    match catalog.acquire(&CALLER, "b", key, TTL, at(now)) {
        Ok(lease) => lease,
        other => panic!("{key} was not leased: {other:?}"),
    }
}

#[test]
fn an_expired_lease_holds_its_extents_for_the_grace_and_a_released_one_does_not() {
    let mut catalog = catalog_of(4);
    store(&mut catalog, "a", 4, 0).unwrap();
    let first = lease(&mut catalog, "a", 0);
    assert_eq!(store(&mut catalog, "x", 1, 149), Err(WriteRefused::OnlyLeased));
    assert_eq!(catalog.release(&CALLER, first.id, at(149)), None);
    assert_eq!(catalog.renew(&CALLER, first.id, TTL, at(149)), None);
    let second = lease(&mut catalog, "a", 149);
    assert!(catalog.release(&CALLER, second.id, at(160)).is_some());
    assert_eq!(store(&mut catalog, "x", 1, 160), Ok(()));
    assert!(catalog.stat("b", "a").is_none());
    catalog.check();
}

#[test]
fn a_removed_object_is_invisible_at_once_and_its_space_waits_for_the_reader() {
    let mut catalog = catalog_of(4);
    store(&mut catalog, "a", 3, 0).unwrap();
    lease(&mut catalog, "a", 0);
    assert_eq!(catalog.remove("b", "a"), Ok(()));
    assert_eq!(catalog.acquire(&CALLER, "b", "a", TTL, at(1)), Err(Miss::Absent));
    assert_eq!(catalog.stats(at(1)).quarantined, unit_bytes(3));
    assert_eq!(store(&mut catalog, "a", 2, 1), Err(WriteRefused::OnlyLeased));
    assert_eq!(catalog.expire(at(99), 10), []);
    let expired = catalog.expire(at(100), 10);
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].key.as_str(), "a");
    catalog.expire(at(149), 10);
    catalog.discard_changes();
    assert_eq!(catalog.stats(at(149)).free, unit_bytes(1));
    catalog.expire(at(150), 10);
    assert_eq!(catalog.stats(at(150)).free, unit_bytes(1), "the departure is not acknowledged");
    catalog.discard_changes();
    assert_eq!(catalog.stats(at(150)).free, unit_bytes(4));
    catalog.check();
}

#[test]
fn a_miss_tells_whether_the_object_was_evicted_lately() {
    let mut catalog = catalog_of(2);
    let miss = |catalog: &mut Catalog, key: &str| catalog.acquire(&CALLER, "b", key, TTL, at(2));
    store(&mut catalog, "a", 2, 0).unwrap();
    assert_eq!(miss(&mut catalog, "x"), Err(Miss::Absent));
    store(&mut catalog, "b", 2, 1).unwrap();
    assert_eq!(miss(&mut catalog, "a"), Err(Miss::Evicted));
    store(&mut catalog, "a", 2, 2).unwrap();
    assert_eq!(catalog.remove("b", "a"), Ok(()));
    assert_eq!(miss(&mut catalog, "a"), Err(Miss::Absent));
    catalog.check();
}

#[test]
fn a_refusal_evicts_nothing() {
    let mut catalog = catalog_of(8);
    for key in ["a", "b", "c", "d"] {
        store(&mut catalog, key, 2, 0).unwrap();
    }
    lease(&mut catalog, "a", 0);
    assert_eq!(store(&mut catalog, "x", 7, 1), Err(WriteRefused::OnlyLeased));
    let too_large = WriteRefused::BeyondCapacity { capacity: unit_bytes(8) };
    assert_eq!(store(&mut catalog, "x", 9, 1), Err(too_large));
    assert_eq!((catalog.stats(at(1)).objects, catalog.stats(at(1)).totals.evicted), (4, 0));
    assert_eq!(store(&mut catalog, "x", 6, 1), Ok(()));
    assert_eq!(catalog.stats(at(1)).totals.evicted, 3);
    catalog.check();
}

#[test]
fn space_in_too_many_pieces_is_refused_and_evicts_nothing() {
    let mut catalog = catalog_of(200);
    for unit in 0..200 {
        store(&mut catalog, &unit.to_string(), 1, 0).unwrap();
        if unit % 2 == 0 {
            lease(&mut catalog, &unit.to_string(), 0);
        }
    }
    assert_eq!(store(&mut catalog, "x", 65, 1), Err(WriteRefused::Fragmented));
    assert_eq!(catalog.stats(at(1)).totals.evicted, 0);
    assert_eq!(store(&mut catalog, "x", 64, 1), Ok(()));
    assert_eq!(catalog.stat("b", "x").unwrap().extents.len(), EXTENTS_PER_OBJECT_MAX);
    assert_eq!(store(&mut catalog, "y", 100, 150), Ok(()));
    catalog.check();
}

#[test]
fn extents_come_only_from_what_is_populated() {
    let config = CatalogConfig { capacity: unit_bytes(8), ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    assert_eq!(store(&mut catalog, "a", 1, 0), Err(WriteRefused::NotPopulated));
    catalog.quarantine(Extent::new(Offset::new(4096), ByteSize::new(1)), at(10));
    catalog.grow(unit_bytes(4));
    assert_eq!(store(&mut catalog, "a", 3, 0), Ok(()));
    lease(&mut catalog, "a", 0);
    assert_eq!(store(&mut catalog, "x", 1, 9), Err(WriteRefused::NotPopulated));
    catalog.shrink_capacity(unit_bytes(4));
    assert_eq!(store(&mut catalog, "x", 1, 9), Err(WriteRefused::OnlyLeased));
    assert_eq!(store(&mut catalog, "x", 1, 10), Ok(()));
    assert_eq!(catalog.stats(at(10)).capacity, unit_bytes(4));
    catalog.check();
}

#[test]
fn a_body_of_unknown_length_grows_and_gives_the_surplus_back() {
    let mut catalog = catalog_of(8);
    let id = reserve(&mut catalog, "a", 1, 0).unwrap();
    let more = catalog.extend(id, ByteSize::new(5000), at(0)).unwrap();
    assert_eq!(*more.given().unwrap(), [Extent::new(Offset::new(4096), ByteSize::new(5000))]);
    assert_eq!(catalog.seal(id, ByteSize::new(4097), Checksum::new(1), at(0)), Ok(()));
    assert_eq!(catalog.stats(at(0)).free, unit_bytes(6));
    assert_eq!(catalog.extend(id, UNIT, at(0)), Err(WriteRefused::Unknown));
    let object = catalog.stat("b", "a").unwrap();
    assert_eq!(*object.extents, [Extent::new(Offset::new(0), ByteSize::new(4097))]);
    catalog.check();
}

#[test]
fn leases_of_other_incarnations_are_unknown() {
    let mut catalog = catalog_of(1);
    store(&mut catalog, "a", 1, 0).unwrap();
    let id = lease(&mut catalog, "a", 0).id;
    let foreign = LeaseId { epoch: Epoch::new(2), ..id };
    assert_eq!(catalog.release(&CALLER, foreign, at(1)), None);
    assert_eq!(catalog.renew(&CALLER, foreign, TTL, at(1)), None);
    assert_eq!(catalog.renew(&CALLER, id, TTL, at(1)), Some(at(101)));
}

#[test]
fn a_listing_by_pages_shows_what_stays_exactly_once() {
    let mut catalog = catalog_of(100);
    for number in 0..40 {
        store(&mut catalog, &format!("k{number:02}"), 1, 0).unwrap();
    }
    let (mut seen, mut cursor, mut round) = (Vec::new(), Some(ListCursor::default()), 0);
    while let Some(at_cursor) = cursor {
        let (page, next) = catalog.list("b", "k", at_cursor, 7);
        seen.extend(page.iter().map(|object| object.key.to_string()));
        cursor = next;
        let _absent = catalog.remove("b", &format!("k{:02}", 39 - round));
        store(&mut catalog, &format!("new{round}"), 1, 0).unwrap();
        round += 1;
    }
    seen.sort();
    let staying: Vec<_> = (0..30).map(|number| format!("k{number:02}")).collect();
    assert_eq!(
        seen.iter().filter(|key| staying.contains(key)).cloned().collect::<Vec<_>>(),
        staying
    );
    assert_eq!(catalog.list("b", "zz", ListCursor::default(), 7).0, []);
    assert_eq!(catalog.list("other", "", ListCursor::new(u32::MAX), 7), (vec![], None));
}

#[test]
fn memory_is_a_limit_of_its_own() {
    let memory_max = ByteSize::kib(16);
    let config =
        CatalogConfig { capacity: ByteSize::gib(1), memory_max, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(ByteSize::gib(1));
    for number in 0..1000 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
        assert!(catalog.stats(at(0)).memory <= memory_max);
    }
    assert!(catalog.stats(at(0)).totals.evicted > 900);
    let writes = (0..1000).map(|number| reserve(&mut catalog, &format!("w{number}"), 0, 0));
    let refused = writes.filter_map(Result::err).last();
    assert_eq!(refused, Some(WriteRefused::MemoryShort { memory_max }));
    catalog.check();
}

#[test]
fn an_object_in_as_many_pieces_as_it_may_have_grows_only_in_place() {
    let mut catalog = catalog_of(200);
    for unit in 0..130 {
        store(&mut catalog, &unit.to_string(), 1, 0).unwrap();
        if unit % 2 == 0 {
            lease(&mut catalog, &unit.to_string(), 0);
        }
    }
    let wall = reserve(&mut catalog, "wall", 70, 0).unwrap();
    let id = reserve(&mut catalog, "x", 64, 0).unwrap();
    assert!(catalog.abort(wall));
    assert_eq!(catalog.extend(id, UNIT, at(0)), Err(WriteRefused::Fragmented));
    assert_eq!(catalog.stats(at(0)).free, unit_bytes(70));
    catalog.check();
}

/// A record of one object with these extents, in units, and this number as its age.
fn recorded<'a>(key: &'a str, extents: &'a [Extent], age: u64) -> SealedObject<'a> {
    let len = extents.iter().map(|extent| extent.len.bytes()).sum();
    SealedObject {
        bucket: "b",
        key,
        extents,
        len: ByteSize::new(len),
        checksum: Checksum::new(age),
        generation: age,
        created: at(age),
    }
}

fn units(start: u64, count: u64) -> Extent {
    Extent::new(Offset::new(start * UNIT.bytes()), unit_bytes(count))
}

/// Objects of these that a catalog of 8 units takes over.
fn taken_over(objects: &[SealedObject<'_>]) -> (Vec<(String, u64)>, u64) {
    let config = CatalogConfig { capacity: unit_bytes(8), ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(2));
    let mut restoration = Restoration::default();
    objects.iter().for_each(|object| restoration.add(object, at(0)));
    let restored = catalog.restore(restoration, unit_bytes(8), at(0), |_| ());
    catalog.check();
    assert_eq!(restored.objects + restored.impossible, objects.len() as u64);
    let (listed, _) = catalog.list("b", "", ListCursor::default(), 100);
    let mut found: Vec<_> =
        listed.iter().map(|o| (o.key.to_string(), o.checksum.xxh3_64())).collect();
    found.sort();
    (found, restored.impossible)
}

#[test]
fn of_two_objects_that_contradict_each_other_the_newer_is_taken_over() {
    let found = |keys: &[(&str, u64)]| -> Vec<(String, u64)> {
        keys.iter().map(|(key, age)| ((*key).to_owned(), *age)).collect()
    };
    let [low, high, across] = [[units(0, 3)], [units(3, 5)], [units(2, 3)]];
    let apart = [recorded("a", &low, 1), recorded("b", &high, 2)];
    assert_eq!(taken_over(&apart), (found(&[("a", 1), ("b", 2)]), 0));
    let one_name = [recorded("a", &high, 2), recorded("a", &low, 1)];
    assert_eq!(taken_over(&one_name), (found(&[("a", 2)]), 1));
    let overlapping = [apart[0], apart[1], recorded("c", &across, 3)];
    assert_eq!(taken_over(&overlapping), (found(&[("c", 3)]), 2));
    let older = [apart[0], apart[1], recorded("c", &across, 0)];
    assert_eq!(taken_over(&older), (found(&[("a", 1), ("b", 2)]), 1));
}

#[test]
fn what_was_used_longest_ago_leaves_first_after_a_restart_and_nothing_before_its_leases_end() {
    let config = CatalogConfig { capacity: unit_bytes(4), ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(2));
    let mut restoration = Restoration::default();
    let places = [0, 1, 2, 3].map(|unit| [units(unit, 1)]);
    // In the order in which they were sealed, with the ends of their last leases.
    let leased = [("often", 90), ("never", 0), ("once", 20), ("held", 150)];
    for (place, (age, (key, until))) in places.iter().zip((10..).zip(leased)) {
        restoration.add(&recorded(key, place, age), at(until));
    }
    catalog.quarantine(units(0, 4), at(200));
    assert_eq!(catalog.restore(restoration, unit_bytes(4), at(100), |_| ()).objects, 4);
    for (new, gone) in [("x", "never"), ("y", "once"), ("z", "often")] {
        assert!(catalog.stat("b", gone).is_some());
        store(&mut catalog, new, 1, 100).unwrap();
        assert!(catalog.stat("b", gone).is_none(), "{gone}");
        lease(&mut catalog, new, 100);
    }
    assert_eq!(store(&mut catalog, "w", 1, 149), Err(WriteRefused::OnlyLeased));
    catalog.expire(at(150), 10);
    store(&mut catalog, "w", 1, 150).unwrap();
    assert!(catalog.stat("b", "held").is_none());
    catalog.check();
}

#[test]
fn what_no_catalog_can_have_had_is_left_out() {
    let places: [&[Extent]; 8] = [
        // Beyond what is populated, and beyond all arenas.
        &[units(6, 3)],
        &[units(u64::from(u32::MAX) * 4, 1)],
        &[Extent::new(Offset::new(u64::MAX - 4095), ByteSize::new(u64::MAX))],
        // Not where units begin; empty; a gap within.
        &[Extent::new(Offset::new(1), ByteSize::new(5))],
        &[units(1, 0), units(2, 1)],
        &[Extent::new(Offset::new(0), ByteSize::new(5)), units(3, 1)],
        // On top of itself.
        &[units(1, 2), units(2, 1)],
        &[units(0, 1); EXTENTS_PER_OBJECT_MAX + 1],
    ];
    let whole = [units(0, 1)];
    let sound = recorded("a", &whole, 1);
    for extents in places {
        let sum = extents.iter().fold(0_u64, |sum, e| sum.wrapping_add(e.len.bytes()));
        let object = SealedObject { extents, len: ByteSize::new(sum), ..sound };
        assert_eq!(taken_over(&[object]), (vec![], 1), "{extents:?}");
    }
    for object in [
        SealedObject { len: ByteSize::new(1), ..sound },
        SealedObject { key: "", ..sound },
        SealedObject { bucket: "", ..sound },
    ] {
        assert_eq!(taken_over(&[object]), (vec![], 1), "{object:?}");
    }
}

#[test]
fn a_look_at_bytes_counts_only_for_the_object_that_was_looked_at() {
    let mut catalog = catalog_of(4);
    store(&mut catalog, "a", 1, 0).unwrap();
    store(&mut catalog, "b", 1, 0).unwrap();
    let (candidate, next) = catalog.next_scrub_candidate(0, false);
    let candidate = candidate.unwrap();
    assert!(catalog.next_scrub_candidate(0, true).0.is_none(), "what is stored here is known");
    assert!(catalog.next_scrub_candidate(next.unwrap(), false).0.is_some());
    assert_eq!(catalog.next_scrub_candidate(2, false), (None, None));
    assert!(catalog.record_verification(candidate.slot, candidate.generation));
    assert_eq!(catalog.remove("b", "a"), Ok(()));
    catalog.discard_changes();
    // Its slot and its extents are another object's by now.
    store(&mut catalog, "c", 1, 1).unwrap();
    assert!(!catalog.record_verification(candidate.slot, candidate.generation));
    assert!(!catalog.remove_corrupt(candidate.slot, candidate.generation, |_| panic!(
        "a successor is not reported"
    )));
    let object = catalog.stat("b", "c").unwrap();
    let lease = lease(&mut catalog, "c", 1);
    let mut corrupt = String::new();
    assert!(catalog.remove_corrupt(lease.slot, object.generation, |o| corrupt = o.key.to_owned()));
    assert_eq!(corrupt, "c");
    assert!(catalog.stat("b", "c").is_none());
    assert_eq!(catalog.stats(at(1)).quarantined, unit_bytes(1), "its reader is still there");
    catalog.check();
}

#[test]
fn leases_without_end_evict_no_object() {
    let memory_max = ByteSize::mib(2);
    let capacity = ByteSize::mib(64);
    let config = CatalogConfig {
        capacity,
        memory_max,
        leases_max: 256_500,
        leases_per_owner_max: 256_500,
        leases_per_user_max: 256_500,
        lease_grace: Duration::ZERO,
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    for number in 0..10_000 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    let before = catalog.stats(at(0));
    assert!(before.objects < 10_000, "the memory is what limits the objects");
    let lease = |catalog: &mut Catalog| catalog.acquire(&CALLER, "b", "9999", TTL, at(1));
    let granted = (0..256_500).filter(|_| lease(&mut catalog).is_ok()).count() as u64;
    let full = catalog.stats(at(1));
    assert_eq!(granted, full.leases_max);
    assert_eq!(lease(&mut catalog), Err(Miss::MemoryShort));
    assert_eq!((full.leases_live, full.objects), (granted, before.objects));
    catalog.check();
    // All end with their time.
    while !catalog.expire(at(101), 1000).is_empty() {}
    catalog.check();
    let after = catalog.stats(at(101));
    assert_eq!((after.leases_live, after.totals.expired_unreleased), (0, granted));
    assert_eq!(after.memory, before.memory);
}

#[test]
fn a_call_evicts_a_bounded_number_of_objects_for_any_amount_of_space() {
    let mut catalog = catalog_of(1000);
    for number in 0..1000 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    catalog.discard_changes();
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("large").unwrap());
    let (mut turns, mut evicted) = (0, 0);
    while catalog.reserve(&bucket, &key, unit_bytes(1000), at(0)).unwrap() == Room::AfterDrain {
        let now = catalog.stats(at(0)).totals.evicted;
        assert!(now - evicted <= EVICTIONS_PER_CALL_MAX, "{}", now - evicted);
        (turns, evicted) = (turns + 1, now);
        catalog.discard_changes();
    }
    assert_eq!((turns, evicted), (1000_u64.div_ceil(EVICTIONS_PER_CALL_MAX), 1000));
    catalog.check();
}

#[test]
fn the_first_part_of_an_object_evicts_for_itself_and_is_refused_for_the_whole() {
    let mut catalog = catalog_of(8);
    for number in 0..8 {
        store(&mut catalog, &number.to_string(), 1, 0).unwrap();
    }
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new("k").unwrap());
    let reserve = |catalog: &mut Catalog, all: u64| loop {
        let lens = (UNIT, unit_bytes(all));
        match catalog.reserve_first(&bucket, &key, lens, at(0))? {
            Room::Given(reservation) => return Ok(reservation),
            Room::AfterDrain => catalog.discard_changes(),
        }
    };
    lease(&mut catalog, "0", 0);
    assert_eq!(reserve(&mut catalog, 8), Err(WriteRefused::OnlyLeased));
    assert_eq!(catalog.stats(at(0)).objects, 8);
    let first = reserve(&mut catalog, 7).unwrap();
    assert_eq!((first.extents.len(), first.extents[0].len), (1, UNIT));
    assert_eq!(catalog.stats(at(0)).objects, 7);
}

#[test]
fn buckets_come_in_parts_and_each_of_them_once() {
    let count = LIST_SCAN_MAX + 10;
    let mut catalog = catalog_of(count as u64);
    for number in 0..count {
        let name = number.to_string();
        let (bucket, key) = (BucketName::new(name).unwrap(), Key::new("k").unwrap());
        let room = catalog.reserve(&bucket, &key, UNIT, at(0)).unwrap();
        catalog.seal(room.given().unwrap().id, UNIT, Checksum::new(9), at(0)).unwrap();
        catalog.discard_changes();
    }
    let (first, next) = catalog.buckets(0);
    let (last, end) = catalog.buckets(next.unwrap());
    assert_eq!((first.len(), last.len(), end), (LIST_SCAN_MAX, 10, None));
    let names = first.iter().chain(&last).map(|info| info.bucket.as_str().to_owned());
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), count);
}

#[test]
fn leases_are_counted_by_their_age_in_parts() {
    let mut catalog = catalog_of(4);
    store(&mut catalog, "k", 1, 0).unwrap();
    let second = 1_000_000_000;
    let day = Duration::from_secs(86_400);
    let mut grant = |granted: u64| {
        catalog.acquire(&CALLER, "b", "k", day, at(granted)).unwrap();
    };
    // All of the first part are of the same moment, the oldest.
    (0..LIST_SCAN_MAX).for_each(|_| grant(0));
    [299, 590, 591, 600].into_iter().for_each(|then| grant(then * second));
    let now = at(600 * second);
    let (first, next) = catalog.lease_ages(0, now);
    assert_eq!(first.counts, [0, 0, 0, 0, 0, LIST_SCAN_MAX as u64]);
    let (mut all, end) = catalog.lease_ages(next.unwrap(), now);
    assert_eq!((all.counts, end), ([1, 2, 0, 0, 0, 1], None), "a bound belongs to its span");
    all.add(&first);
    assert_eq!(all.counts.iter().sum::<u64>(), catalog.stats(now).leases_live);
}
