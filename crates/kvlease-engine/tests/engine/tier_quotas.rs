//! Objects that leave for room within the quota of their own bucket or tenant: a tier gets them as any others.

use std::{sync::Arc, time::Duration};

use kvlease_cache::{BucketOwners, QuotaConfig};
use kvlease_engine::{Engine, TierConfig};
use kvlease_tier::{Presence, Tier};
use kvlease_tier_conformance::MemoryTier;
use kvlease_types::{BucketName, ByteSize, Miss, Quota, TenantId};

use crate::{
    fixture::{CAPACITY, Place, lease, store, until},
    tiers::{LEN, WAIT, content, key},
};

/// Quota of half of the arena, so that there is always room in that.
const MOST: Quota = Quota {
    bytes_max: Some(ByteSize::mib(4)),
    bytes_guaranteed: None,
    objects_max: None,
    leases_max: None,
    requests_per_s: None,
};

/// An engine over a tier, in which the bucket, or the tenant that it counts for, has a quota.
fn engine(place: &Place, quotas: QuotaConfig) -> (Engine, Arc<MemoryTier>) {
    let tier = Arc::new(MemoryTier::new());
    let engine = place.engine_with(1, |engine| {
        engine.catalog.free_target = ByteSize::new(CAPACITY.bytes() / 8);
        engine.catalog.ahead_of_quotas = true;
        engine.catalog.quotas = quotas;
        engine.tiers = vec![TierConfig::new(Arc::clone(&tier) as Arc<dyn Tier>)];
    });
    (engine, tier)
}

fn of_bucket(quota: Quota) -> QuotaConfig {
    let buckets = [(BucketName::new("b").unwrap(), quota)].into();
    QuotaConfig { buckets, ..QuotaConfig::default() }
}

fn of_tenant(quota: Quota) -> QuotaConfig {
    let owners = BucketOwners::new(|_| TenantId::at(0));
    QuotaConfig { tenants: vec![quota], owners, ..QuotaConfig::default() }
}

/// Space and objects that count for the quota.
fn used(engine: &Engine) -> (u64, u64) {
    let uses = engine.quota_uses();
    let of_buckets = uses.buckets.iter().map(|(_, usage)| usage);
    let mut all = of_buckets.chain(uses.tenants.iter().map(|(_, usage)| usage));
    let usage = all.next().expect("one has a quota");
    (usage.bytes.bytes(), usage.objects)
}

/// Quotas that four objects fill.
fn full_with_four() -> [QuotaConfig; 5] {
    let few = Quota { objects_max: Some(4), ..Quota { bytes_max: None, ..MOST } };
    let guaranteed = Quota { bytes_guaranteed: MOST.bytes_max, ..MOST };
    [of_bucket(MOST), of_tenant(MOST), of_bucket(few), of_tenant(few), of_bucket(guaranteed)]
}

/// Stores twelve objects one after the other, each once there is room within the quota.
fn fill(engine: &Engine) {
    for number in 0..12 {
        store(engine, &key(number), &content(number)).unwrap();
        // The arena has room all the time, and who stores finds room within its quota.
        until("room within the quota", || {
            let (bytes, objects) = used(engine);
            bytes + LEN as u64 <= 4 << 20 && objects < 4
        });
    }
}

fn far(engine: &Engine) -> Vec<usize> {
    (0..13).filter(|number| engine.stat("b", &key(*number)).is_none()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_for_its_own_quota_is_in_the_tier_and_comes_back() {
    for quotas in full_with_four() {
        let what = format!("{quotas:?}");
        let place = Place::new();
        let (engine, tier) = engine(&place, quotas);
        fill(&engine);
        let far = far(&engine);
        assert!(far.len() >= 10 && far[..8] == [0, 1, 2, 3, 4, 5, 6, 7], "{what}: {far:?}");
        for number in far.into_iter().filter(|number| *number < 12) {
            assert!(
                matches!(tier.presence("b", &key(number)), Presence::Here(_)),
                "{what} {number}"
            );
            let grants = lease(&engine, &key(number), None, WAIT).await.unwrap();
            assert_eq!(place.read(&grants.first().unwrap().extents), content(number), "{number}");
        }
        assert_eq!(engine.tiers()[0].counters.left_too_early, 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_waits_until_what_leaves_for_it_within_a_quota_was_copied() {
    for quotas in full_with_four() {
        let what = format!("{quotas:?}");
        let place = Place::new();
        let (engine, tier) = engine(&place, quotas);
        fill(&engine);
        tier.server().set_stopped(true);
        // It takes the room that is kept free within the quota. What leaves next is not copied.
        store(&engine, &key(12), &content(12)).unwrap();
        let before = far(&engine);
        let brief = Duration::from_millis(50);
        assert_eq!(lease(&engine, &key(1), None, brief).await.map(|_| ()), Err(Miss::NoRoom));
        assert_eq!(far(&engine), before, "{what}: nothing left for it");
        tier.server().set_stopped(false);
        let grants = lease(&engine, &key(1), None, WAIT).await.unwrap();
        assert_eq!(place.read(&grants.first().unwrap().extents), content(1), "{what}");
        let in_tier =
            |number: &usize| matches!(tier.presence("b", &key(*number)), Presence::Here(_));
        assert!(far(&engine).iter().all(in_tier), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_put_waits_for_a_tier_that_does_not_answer_within_a_quota() {
    let place = Place::new();
    let (engine, tier) = engine(&place, of_bucket(MOST));
    tier.server().set_stopped(true);
    for number in 0..20 {
        store(&engine, &key(number), &content(number)).unwrap();
        assert!(used(&engine).0 <= 4 << 20, "{number}");
    }
    assert!(engine.stat("b", &key(19)).is_some());
    tier.server().set_stopped(false);
}
