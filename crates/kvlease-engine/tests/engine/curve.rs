//! The live curve of an engine follows what its callers do.

use std::time::Duration;

use kvlease_cache::EvictionKind;
use kvlease_engine::CurveConfig;
use kvlease_types::{ByteSize, Mode};

use crate::fixture::{CALLER, CAPACITY, Place, lease, store, until};

/// Length of an object: the arena has room for eight.
const LEN: usize = 1 << 20;

#[tokio::test]
async fn leases_reads_of_the_index_and_stores_are_followed() {
    let place = Place::new();
    let engine = place.engine_with(1, |config| {
        let same_use = Duration::ZERO;
        config.curve = Some(CurveConfig { same_use, ..CurveConfig::new(ByteSize::mib(8)) });
    });
    let capacity = (CAPACITY.bytes() as usize) / LEN;
    let bytes = vec![1; LEN];
    // Stored, and missed before that.
    for object in 0..capacity {
        let key = object.to_string();
        assert!(lease(&engine, &key, None, Duration::ZERO).await.is_err());
        store(&engine, &key, &bytes).unwrap();
    }
    // Leased, and read without a lease.
    for object in 0..capacity {
        let grants = lease(&engine, &object.to_string(), None, Duration::ZERO).await.unwrap();
        let lease = grants.first().unwrap();
        assert_eq!(engine.note_reads(&CALLER, &[(lease.slot, lease.generation)], 1), [true]);
    }
    engine.exists(&CALLER, "b", &["0", "none"], Mode::Each);
    let references = || engine.curve().unwrap().references.ceil();
    until("the last reference", || references() >= 3.0 * capacity as f64);
    let curve = engine.curve().unwrap();
    assert_eq!(curve.references.ceil(), 3.0 * capacity as f64, "look-ups are no references");
    for eviction in EvictionKind::ALL {
        let ratio = curve.hit_ratio(eviction, 1.0).unwrap();
        assert!((ratio - 2.0 / 3.0).abs() < 0.01, "{eviction}: {ratio}");
    }
}

#[test]
fn a_policy_that_is_chosen_takes_the_objects_over_while_they_serve() {
    const SMALL: usize = 4 << 10;
    let place = Place::new();
    let engine = place.engine_with(1, |config| {
        config.curve = Some(CurveConfig::new(ByteSize::mib(8)));
        config.catalog.eviction = EvictionKind::Lru;
        config.eviction_auto = true;
    });
    assert_eq!(engine.stats().policy.choice, None);
    // With LRU, objects that come in turns and have no room together leave before they come again.
    let objects = CAPACITY.bytes() as usize / SMALL * 3 / 2;
    let bytes = vec![2; SMALL];
    let mut turns = (0..objects).cycle();
    until("another policy", || {
        for object in turns.by_ref().take(500) {
            // One that is there is no error: the policy has changed.
            let _ = store(&engine, &object.to_string(), &bytes);
        }
        engine.stats().eviction != EvictionKind::Lru
    });
    until("the end of the change", || !engine.stats().policy.is_changing);
    let stats = engine.stats();
    assert_eq!(stats.counters.eviction_changes, 1);
    let choice = stats.policy.choice.unwrap();
    assert_eq!((choice.before, choice.policy), (EvictionKind::Lru, stats.eviction));
    assert!(choice.hit_ratio > choice.hit_ratio_before && choice.references > 9_000.0);
    assert!(stats.catalog.objects > 1_000, "no object left for the change");
    for object in 0..objects {
        let _ = store(&engine, &object.to_string(), &bytes);
    }
}
