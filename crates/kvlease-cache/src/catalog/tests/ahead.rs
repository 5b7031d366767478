//! Eviction ahead of need within quotas.

use kvlease_types::{BucketPolicy, Quota, TenantId};

use super::*;

/// A catalog of 64 units that keeps 4 units free, in which these buckets have quotas, and all of them together.
fn catalog(buckets: &[(&str, Quota)], all: Quota) -> Catalog {
    let capacity = unit_bytes(64);
    let named = buckets.iter().map(|(name, quota)| (BucketName::new(*name).unwrap(), *quota));
    let owners = BucketOwners::new(|bucket| (bucket != "other").then_some(TenantId::at(0)?));
    let config = CatalogConfig {
        capacity,
        free_target: unit_bytes(4),
        eviction: EvictionKind::Lru,
        quotas: QuotaConfig { buckets: named.collect(), tenants: vec![all], owners },
        ahead_of_quotas: true,
        ..CatalogConfig::default()
    };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    catalog
}

fn most(units: u64) -> Quota {
    Quota { bytes_max: Some(unit_bytes(units)), ..Quota::default() }
}

/// Stores an object of one unit.
fn put(catalog: &mut Catalog, bucket: &str, key: u64) {
    let (bucket, key) = (BucketName::new(bucket).unwrap(), Key::new(key.to_string()).unwrap());
    let room = catalog.reserve(&bucket, &key, unit_bytes(1), at(0)).unwrap();
    let Room::Given(reservation) = room else { panic!("the log has room") };
    catalog.seal(reservation.id, unit_bytes(1), Checksum::new(9), at(0)).unwrap();
    catalog.discard_changes();
}

/// Names of what is chosen within quotas.
fn chosen(catalog: &mut Catalog) -> (Vec<Victim>, Vec<String>) {
    let victims = catalog.victims_within_quotas(100);
    let name = |victim: &Victim| {
        let info = catalog.victim(victim).expect("it is a victim");
        format!("{}/{}", info.bucket, info.key)
    };
    let names = victims.iter().map(name).collect();
    catalog.check();
    (victims, names)
}

fn give_up(catalog: &mut Catalog, victims: &[Victim]) {
    assert!(victims.iter().all(|victim| catalog.give_up(victim, true)));
    catalog.discard_changes();
    catalog.check();
}

#[test]
fn a_bucket_at_its_quota_gives_room_of_its_own_before_the_next_write() {
    let mut catalog = catalog(&[("b", most(8))], Quota::default());
    (0..8).for_each(|key| put(&mut catalog, "other", key));
    for key in 0..8 {
        assert!(!catalog.is_short_within_quotas(), "{key}");
        put(&mut catalog, "b", key);
    }
    assert!(catalog.is_short_within_quotas() && !catalog.is_short_of_room());
    let (victims, names) = chosen(&mut catalog);
    assert_eq!(names, ["b/0"]);
    assert!(catalog.stat("b", "0").is_some(), "it serves until it is given up");
    assert!(!catalog.is_short_within_quotas() && chosen(&mut catalog).1.is_empty());
    give_up(&mut catalog, &victims);
    put(&mut catalog, "b", 8);
    assert_eq!(catalog.stats(at(0)).totals.evicted, 1, "it had room");
    // Who comes before there is room evicts what was chosen first.
    let (victims, names) = chosen(&mut catalog);
    assert_eq!(names, ["b/1"]);
    put(&mut catalog, "b", 9);
    assert!(!catalog.give_up(&victims[0], true), "it has left");
    assert_eq!(catalog.stats(at(0)).totals.evicted, 2);
}

#[test]
fn a_victim_that_is_read_stays_and_another_leaves_in_its_place() {
    let mut catalog = catalog(&[("b", most(8))], Quota::default());
    (0..8).for_each(|key| put(&mut catalog, "b", key));
    let (victims, _) = chosen(&mut catalog);
    let held = lease(&mut catalog, "0", 0);
    assert!(!catalog.give_up(&victims[0], true));
    put(&mut catalog, "other", 0);
    assert!(catalog.release(&CALLER, held.id, at(1)).is_some());
    put(&mut catalog, "b", 8);
    assert_eq!(chosen(&mut catalog).1, ["b/2"], "the next write made 1 leave");
}

#[test]
fn what_is_guaranteed_leaves_for_room_within_the_own_quota() {
    let guaranteed = |units| Quota { bytes_guaranteed: Some(unit_bytes(units)), ..most(8) };
    let mut catalog = catalog(&[("b", guaranteed(8))], guaranteed(8));
    (0..8).for_each(|key| put(&mut catalog, "b", key));
    let (victims, names) = chosen(&mut catalog);
    assert_eq!(names, ["b/0"]);
    give_up(&mut catalog, &victims);
    assert!(catalog.victims(100).is_empty(), "nothing leaves for others");
}

#[test]
fn a_tenant_gives_room_by_what_its_buckets_take_beyond_their_guarantees() {
    let guaranteed = Quota { bytes_guaranteed: Some(unit_bytes(4)), ..Quota::default() };
    let mut catalog = catalog(&[("kept", guaranteed)], most(8));
    (0..4).for_each(|key| put(&mut catalog, "kept", key));
    (0..4).for_each(|key| put(&mut catalog, "b", key));
    let (victims, names) = chosen(&mut catalog);
    assert_eq!(names, ["b/0"], "the objects of the other bucket are older");
    give_up(&mut catalog, &victims);
}

#[test]
fn room_for_an_object_is_made_within_quotas_of_objects() {
    let few = Quota { objects_max: Some(4), ..Quota::default() };
    let mut catalog = catalog(&[("b", few)], Quota::default());
    (0..4).for_each(|key| put(&mut catalog, "b", key));
    let (victims, names) = chosen(&mut catalog);
    assert_eq!(names, ["b/0"]);
    give_up(&mut catalog, &victims);
    // Of one object that is all there may be, none is kept free.
    let one = Quota { objects_max: Some(1), ..Quota::default() };
    let mut catalog = self::catalog(&[("b", one)], Quota::default());
    put(&mut catalog, "b", 0);
    assert!(!catalog.is_short_within_quotas());
}

#[test]
fn a_large_quota_keeps_a_sixteenth_free_within_the_free_target() {
    for (units, free) in [(16, 1), (32, 2), (60, 3)] {
        let mut catalog = catalog(&[("b", most(units))], Quota::default());
        (0..units).for_each(|key| put(&mut catalog, "b", key));
        let (victims, _) = chosen(&mut catalog);
        assert_eq!(victims.len(), free, "{units}");
    }
}

#[test]
fn no_room_is_made_where_no_tier_gets_what_leaves() {
    let mut catalog = catalog(&[("b", most(8))], Quota::default());
    let ttl = Some(std::time::Duration::from_secs(1));
    let policy = BucketPolicy { ttl, ..BucketPolicy::default() };
    assert!(catalog.set_bucket_policy(&BucketName::new("b").unwrap(), policy));
    (0..8).for_each(|key| put(&mut catalog, "b", key));
    assert!(!catalog.is_short_within_quotas());
}

/// Whether room is being made for one more object of bucket b.
fn is_made(catalog: &mut Catalog, units: u64) -> bool {
    let class = catalog.class(&BucketName::new("b").unwrap());
    catalog.makes_room_ahead(class, unit_bytes(units))
}

#[test]
fn who_can_wait_waits_for_room_within_a_quota_that_is_being_made() {
    let few = Quota { objects_max: Some(8), ..Quota::default() };
    let cases = [([("b", most(8))], Quota::default()), ([("b", few)], Quota::default())];
    let of_tenant = [most(8), few].map(|quota| ([("other", Quota::default())], quota));
    for (buckets, all) in cases.into_iter().chain(of_tenant) {
        let mut catalog = catalog(&buckets, all);
        for key in 0..8 {
            assert!(!is_made(&mut catalog, 1), "there is room");
            put(&mut catalog, "b", key);
        }
        assert!(is_made(&mut catalog, 1), "it is about to be made");
        let other = catalog.class(&BucketName::new("other").unwrap());
        assert!(!catalog.makes_room_ahead(other, unit_bytes(1)), "it is in no quota");
        let (victims, _) = chosen(&mut catalog);
        assert!(is_made(&mut catalog, 1), "it leaves");
        give_up(&mut catalog, &victims);
        assert!(!is_made(&mut catalog, 1), "it has left");
    }
}

#[test]
fn nobody_waits_for_room_within_a_quota_that_nothing_makes() {
    let mut catalog = catalog(&[("b", most(32))], Quota::default());
    (0..28).for_each(|key| put(&mut catalog, "b", key));
    // More than is kept free within the quota.
    assert!(!is_made(&mut catalog, 8) && chosen(&mut catalog).0.is_empty());
    (28..32).for_each(|key| put(&mut catalog, "b", key));
    let leases: Vec<_> = (0..32).map(|key| lease(&mut catalog, &key.to_string(), 0)).collect();
    assert!(chosen(&mut catalog).0.is_empty() && !is_made(&mut catalog, 1), "all is read");
    // Once something can leave, it is looked for again.
    assert!(catalog.release(&CALLER, leases[3].id, at(1)).is_some());
    assert!(is_made(&mut catalog, 1) && catalog.is_short_within_quotas());
    assert_eq!(chosen(&mut catalog).1, ["b/3"]);
}
