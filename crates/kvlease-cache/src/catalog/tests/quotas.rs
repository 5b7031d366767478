//! Quotas that change while the catalog serves.

use kvlease_types::{BucketPolicy, Quota};

use super::*;

/// A catalog under a policy, whose bucket has a policy of its own.
fn policed(eviction: EvictionKind) -> Catalog {
    let capacity = unit_bytes(8);
    let config = CatalogConfig { capacity, eviction, ..CatalogConfig::default() };
    let mut catalog = Catalog::new(config, Epoch::new(1));
    catalog.grow(capacity);
    set_policy(&mut catalog, 100);
    catalog
}

fn bucket() -> BucketName {
    BucketName::new("b").unwrap()
}

fn set_policy(catalog: &mut Catalog, weight: u32) {
    assert!(
        catalog.set_bucket_policy(&bucket(), BucketPolicy { weight, ..BucketPolicy::default() })
    );
    apply(catalog);
}

/// Gives the bucket a quota of this many units, or takes its quota away.
fn set_quota(catalog: &mut Catalog, units: Option<u64>) {
    let quota = |units| Quota { bytes_max: Some(unit_bytes(units)), ..Quota::default() };
    let buckets = units.into_iter().map(|units| (bucket(), quota(units))).collect();
    assert!(catalog.set_quotas(&QuotaConfig { buckets, ..QuotaConfig::default() }));
    apply(catalog);
}

fn apply(catalog: &mut Catalog) {
    let mut next = Some(0);
    while let Some(slot) = next {
        catalog.check();
        next = catalog.apply_policies(slot);
    }
    catalog.check();
}

/// Stores this many objects of one unit.
fn fill(catalog: &mut Catalog, name: &str, objects: u64) {
    for number in 0..objects {
        store(catalog, &format!("{name}{number}"), 1, 0).unwrap();
    }
    catalog.check();
}

#[test]
fn a_bucket_with_objects_gets_a_quota_or_loses_it_and_its_policy_or_that_of_eviction_changes() {
    for (from, to) in
        EvictionKind::ALL.into_iter().flat_map(|from| EvictionKind::ALL.map(|to| (from, to)))
    {
        for quotas in [[Some(6), None], [None, Some(6)], [Some(6), Some(4)]] {
            let mut catalog = policed(from);
            fill(&mut catalog, "before", 8);
            for (number, quota) in quotas.into_iter().enumerate() {
                set_quota(&mut catalog, quota);
                set_policy(&mut catalog, 200 + number as u32);
                fill(&mut catalog, &format!("then{number}"), 12);
                catalog.change_eviction(Successor::new(to, catalog.slots())).unwrap();
                while catalog.hand_over(1).is_none() {
                    catalog.check();
                }
            }
            fill(&mut catalog, "after", 12);
            let has = quotas[1].unwrap_or(8);
            assert_eq!(catalog.bucket_policy(&bucket()).unwrap().class.objects, has);
        }
    }
}

#[test]
fn a_quota_that_comes_or_goes_leaves_a_bucket_its_policy_and_its_totals() {
    let mut catalog = policed(EvictionKind::S3Fifo);
    fill(&mut catalog, "k", 10);
    let before = catalog.bucket_policy(&bucket()).unwrap();
    assert_eq!((before.class.evicted, before.class.objects), (2, 8));
    for quota in [Some(8), None] {
        set_quota(&mut catalog, quota);
        assert_eq!(catalog.bucket_policy(&bucket()).unwrap(), before, "{quota:?}");
    }
}
