//! Many keys in one call: what becomes of each, and that nothing leaks.

use std::{
    collections::BTreeSet,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kvlease_attach::GenerationsView;
use kvlease_cache::Lease;
use kvlease_engine::{Engine, Leased};
use kvlease_testing::bytes;
use kvlease_types::{Epoch, LeaseId};

use crate::fixture::{Place, TTL, begin, run, stats, store, until};

/// More than one part of a batch.
const MANY: usize = 300;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key {number}")).collect()
}

fn store_all(engine: &Engine, keys: &[String]) {
    for key in keys {
        store(engine, key, b"abc").unwrap();
    }
}

fn lease_all(engine: &Engine, keys: &[String], prefix: bool) -> Vec<Leased> {
    let mut outcomes = Vec::new();
    let keys = keys.iter().map(String::as_str);
    let ttl = engine.lease_many("b", keys, None, prefix, |outcome| outcomes.push(outcome));
    assert_eq!(ttl, TTL, "the default");
    outcomes
}

fn granted(outcomes: &[Leased]) -> Vec<Lease> {
    let lease = |outcome: &Leased| match outcome {
        Leased::Granted(granted) => Some(granted.lease().clone()),
        _ => None,
    };
    outcomes.iter().filter_map(lease).collect()
}

fn release_all(engine: &Engine, ids: &[LeaseId]) -> Vec<bool> {
    let mut answers = Vec::new();
    engine.release_many(ids.iter().copied(), |was_live| answers.push(was_live));
    answers
}

#[test]
fn every_key_is_answered_in_its_order() {
    let place = Place::new();
    let engine = place.engine(1);
    let keys = names(MANY);
    for (number, key) in keys.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        store(&engine, key, &bytes(100 + number, number as u64)).unwrap();
    }
    let _put = begin(&engine, &keys[150], Some(1)).unwrap();
    let outcomes = lease_all(&engine, &keys, false);
    assert_eq!(outcomes.len(), MANY);
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Leased::Granted(granted) => {
                assert!(number % 3 != 0);
                let sent = bytes(100 + number, number as u64);
                assert!(place.read(&granted.lease().extents) == sent, "{number}");
            }
            Leased::Writing(_) => assert_eq!(number, 150),
            Leased::Absent { evicted } => assert!(!evicted && number % 3 == 0),
            refused => panic!("{refused:?}"),
        }
    }
    let ids: Vec<_> = granted(&outcomes).iter().map(|lease| lease.id).collect();
    assert_eq!(stats(&engine).leases_live, ids.len() as u64);
    let mut found = Vec::new();
    engine.exists_many("b", keys.iter().map(String::as_str), false, |there| found.push(there));
    let expected: Vec<_> = (0..MANY).map(|number| number % 3 != 0).collect();
    assert_eq!(found, expected);
    assert!(release_all(&engine, &ids).iter().all(|was_live| *was_live));
    assert!(release_all(&engine, &ids).iter().all(|was_live| !was_live), "once");
    assert_eq!((stats(&engine).leases_live, stats(&engine).totals.released), (0, ids.len() as u64));
}

#[test]
fn a_prefix_ends_behind_the_first_miss() {
    let place = Place::new();
    let engine = place.engine(1);
    let keys = names(MANY);
    for miss in [0, 1, 127, 128, 129, 255, 256, MANY - 1, MANY] {
        for key in &keys[..miss] {
            let _known = store(&engine, key, b"abc");
        }
        let outcomes = lease_all(&engine, &keys, true);
        assert_eq!(outcomes.len(), MANY.min(miss + 1), "the misses end with the first");
        assert_eq!(granted(&outcomes).len(), miss);
        assert_eq!(stats(&engine).leases_live, miss as u64, "nothing behind it is leased");
        let mut found = Vec::new();
        engine.exists_many("b", keys.iter().map(String::as_str), true, |there| found.push(there));
        let expected: Vec<_> = (0..MANY.min(miss + 1)).map(|number| number < miss).collect();
        assert_eq!(found, expected);
        let ids: Vec<_> = granted(&outcomes).iter().map(|lease| lease.id).collect();
        assert_eq!(release_all(&engine, &ids), vec![true; miss]);
    }
}

#[test]
fn leases_of_others_are_unknown_and_renewals_move_the_deadline() {
    let place = Place::new();
    let engine = place.engine(1);
    let keys = names(200);
    store_all(&engine, &keys);
    let ids: Vec<_> = granted(&lease_all(&engine, &keys, false)).iter().map(|l| l.id).collect();
    let foreign = |id: &LeaseId| LeaseId { epoch: Epoch::new(9), ..*id };
    let mixed: Vec<_> = ids.iter().flat_map(|id| [*id, foreign(id)]).collect();
    let mut renewed = Vec::new();
    let hour = Some(Duration::from_secs(3600));
    let ttl = engine.renew_many(mixed.iter().copied(), hour, |live| renewed.push(live));
    assert_eq!(ttl, TTL, "within the cap");
    assert_eq!(renewed, [true, false].repeat(200));
    assert_eq!(release_all(&engine, &mixed), [true, false].repeat(200));
    assert_eq!(stats(&engine).totals.renewed, 200);
}

#[test]
fn who_is_told_of_a_write_wakes_when_it_ends_either_way() {
    let place = Place::new();
    let engine = place.engine(1);
    for seals in [true, false] {
        let put = begin(&engine, "k", Some(0)).unwrap();
        let mut outcomes = lease_all(&engine, &["k".to_owned()], false);
        let Some(Leased::Writing(mut ended)) = outcomes.pop() else {
            panic!("it is being written")
        };
        thread::scope(|scope| {
            scope.spawn(move || if seals { drop(put.seal()) } else { drop(put) });
            let woken = run(async { tokio::time::timeout(TTL, ended.changed()).await });
            assert!(woken.is_ok());
        });
        assert_eq!(engine.remove("b", "k").is_ok(), seals);
    }
}

#[test]
fn batches_from_many_threads_leave_no_lease_behind() {
    const THREADS: usize = 4;
    let place = Place::new();
    let engine = place.engine(1);
    let keys = names(MANY);
    store_all(&engine, &keys);
    let start = Barrier::new(THREADS);
    let ids: Vec<Vec<LeaseId>> = thread::scope(|scope| {
        let turn = || {
            let mut ids = Vec::new();
            start.wait();
            for _ in 0..20 {
                let leases = granted(&lease_all(&engine, &keys, false));
                let now: Vec<_> = leases.iter().map(|lease| lease.id).collect();
                assert_eq!(release_all(&engine, &now), vec![true; MANY]);
                ids.extend(now);
            }
            ids
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(turn)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: BTreeSet<_> = ids.iter().flatten().map(|id| id.sequence).collect();
    assert_eq!(all.len(), THREADS * 20 * MANY, "no lease was granted twice");
    assert_eq!(stats(&engine).leases_live, 0);
}

/// A reader copies with no lease that protects it, only generations: what these vouch for is right.
#[test]
fn generations_vouch_for_what_readers_copy_while_objects_come_and_go() {
    const OBJECTS: usize = 40;
    const VOUCHED_MIN: u64 = 200;
    let place = Place::new();
    let engine = place.engine(1);
    let descriptor = engine.generations().descriptor().try_clone_to_owned().unwrap();
    let view = GenerationsView::from_descriptor(descriptor).unwrap();
    assert_eq!(view.slots(), engine.generations().slots());
    let keys = names(OBJECTS);
    let objects: Vec<_> = (0..).zip(&keys).map(|(seed, _)| bytes(600 << 10, seed)).collect();
    let (mut vouched, mut gone) = (0, 0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // The objects do not all fit: each store evicts.
        scope.spawn(|| {
            for number in (0..OBJECTS).cycle() {
                let _exists = store(&engine, &keys[number], &objects[number]);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        until("a copy that was overwritten and many that were not", || {
            for (key, object) in keys.iter().zip(&objects) {
                let leases = granted(&lease_all(&engine, std::slice::from_ref(key), false));
                let [lease] = &leases[..] else { continue };
                let before = view.get(lease.slot);
                release_all(&engine, &[lease.id]);
                assert_eq!(before, lease.generation, "while it is leased it is there");
                // Every other reader is slow.
                let copied = place.read(&lease.extents);
                thread::sleep(Duration::from_millis(lease.id.sequence % 2 * 5));
                let same = place.read(&lease.extents) == copied;
                if view.get(lease.slot) == before {
                    assert!(same && copied == *object, "wrong bytes were vouched for");
                    vouched += 1;
                } else {
                    gone += 1;
                }
            }
            vouched >= VOUCHED_MIN && gone > 0
        });
        stop.store(true, Ordering::Relaxed);
    });
    println!("{vouched} copies were vouched for, {gone} were not");
}

#[test]
fn a_removed_object_is_vouched_for_as_long_as_somebody_may_read_it() {
    let place = Place::new();
    let engine = place.engine(1);
    let descriptor = engine.generations().descriptor().try_clone_to_owned().unwrap();
    let view = GenerationsView::from_descriptor(descriptor).unwrap();
    let keys = names(1);
    store_all(&engine, &keys);
    let lease = granted(&lease_all(&engine, &keys, false)).remove(0);
    engine.remove("b", &keys[0]).unwrap();
    assert_eq!(view.get(lease.slot), lease.generation);
    release_all(&engine, &[lease.id]);
    assert_eq!(view.get(lease.slot), 0);
}
