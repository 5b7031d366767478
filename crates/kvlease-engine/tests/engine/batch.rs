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
use kvlease_engine::{Engine, Grants};
use kvlease_testing::bytes;
use kvlease_types::{Caller, Epoch, LeaseId, Miss, Mode};

use crate::fixture::{CALLER, Place, TTL, begin, remove, run, stats, store, until};

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

fn texts(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

fn acquire(engine: &Engine, keys: &[String], mode: Mode) -> Grants {
    let grants = engine.acquire(&CALLER, "b", &texts(keys), mode, None);
    assert_eq!(grants.ttl(), TTL, "the default");
    grants
}

/// Leases that are the client's.
fn lease_all(engine: &Engine, keys: &[String], mode: Mode) -> Vec<Result<Lease, Miss>> {
    let grants = acquire(engine, keys, mode);
    let outcomes = grants.outcomes().to_vec();
    grants.deliver();
    outcomes
}

fn granted(outcomes: &[Result<Lease, Miss>]) -> Vec<Lease> {
    outcomes.iter().flatten().cloned().collect()
}

fn release_all(engine: &Engine, ids: &[LeaseId]) -> Vec<bool> {
    engine.release(&CALLER, ids).into_iter().map(|held| held.is_some()).collect()
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
    let outcomes = lease_all(&engine, &keys, Mode::Each);
    assert_eq!(outcomes.len(), MANY);
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(lease) => {
                assert!(number % 3 != 0);
                let sent = bytes(100 + number, number as u64);
                assert!(place.read(&lease.extents) == sent, "{number}");
            }
            Err(Miss::Pending) => assert_eq!(number, 150),
            Err(Miss::Absent) => assert!(number % 3 == 0),
            Err(miss) => panic!("{miss}"),
        }
    }
    let ids: Vec<_> = granted(&outcomes).iter().map(|lease| lease.id).collect();
    assert_eq!(stats(&engine).leases_live, ids.len() as u64);
    let found = engine.exists(&CALLER, "b", &texts(&keys), Mode::Each);
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
        let outcomes = lease_all(&engine, &keys, Mode::Prefix);
        assert_eq!(outcomes.len(), MANY.min(miss + 1), "the misses end with the first");
        assert_eq!(granted(&outcomes).len(), miss);
        assert_eq!(stats(&engine).leases_live, miss as u64, "nothing behind it is leased");
        let found = engine.exists(&CALLER, "b", &texts(&keys), Mode::Prefix);
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
    let ids: Vec<_> =
        granted(&lease_all(&engine, &keys, Mode::Each)).iter().map(|l| l.id).collect();
    let foreign = |id: &LeaseId| LeaseId { epoch: Epoch::new(9), ..*id };
    let mixed: Vec<_> = ids.iter().flat_map(|id| [*id, foreign(id)]).collect();
    let hour = Some(Duration::from_secs(3600));
    let renewed = engine.renew(&CALLER, &mixed, hour);
    assert_eq!(renewed.ttl, TTL, "within the cap");
    assert_eq!(renewed.live, [true, false].repeat(200));
    assert_eq!(release_all(&engine, &mixed), [true, false].repeat(200));
    assert_eq!(stats(&engine).totals.renewed, 200);
}

#[test]
fn a_lease_is_released_and_renewed_by_its_owner_alone() {
    let place = Place::new();
    let engine = place.engine(1);
    let keys = names(3);
    store_all(&engine, &keys);
    let http = Caller::http(([127, 0, 0, 1], 1).into());
    let callers = [http, Caller::lane(0, 0, 0, None), Caller::lane(1, 0, 0, None)];
    for owner in &callers {
        let grants = engine.acquire(owner, "b", &texts(&keys), Mode::Each, None);
        let ids: Vec<_> = grants.outcomes().iter().flatten().map(|lease| lease.id).collect();
        grants.deliver();
        for other in callers.iter().filter(|other| other.owner != owner.owner) {
            assert_eq!(engine.release(other, &ids), [None; 3]);
            assert_eq!(engine.renew(other, &ids, None).live, [false; 3]);
        }
        assert_eq!(engine.renew(owner, &ids, None).live, [true; 3]);
        assert!(engine.release(owner, &ids).iter().all(Option::is_some));
    }
    assert_eq!(stats(&engine).leases_live, 0);
}

#[test]
fn an_acquire_that_waits_goes_on_where_it_stopped() {
    for (mode, seals) in
        [(Mode::Each, true), (Mode::Each, false), (Mode::Prefix, true), (Mode::Prefix, false)]
    {
        let place = Place::new();
        let engine = place.engine(1);
        let keys = names(MANY);
        let pending = [20, 140];
        let puts = pending.map(|number: usize| begin(&engine, &keys[number], Some(0)).unwrap());
        for (number, key) in keys.iter().enumerate() {
            let known = pending.contains(&number) || number == 200;
            assert!(known || store(&engine, key, b"abc").is_ok());
        }
        let mut grants = acquire(&engine, &keys, mode);
        assert!(grants.is_pending());
        thread::scope(|scope| {
            scope.spawn(|| {
                for put in puts {
                    thread::sleep(Duration::from_millis(5));
                    if seals { put.seal().map(drop).unwrap() } else { drop(put) }
                }
            });
            run(async {
                let until = tokio::time::Instant::now() + TTL;
                engine.await_pending(&mut grants, "b", &texts(&keys), mode, until).await;
            });
        });
        let misses = grants.outcomes().iter().enumerate().filter(|(_, outcome)| outcome.is_err());
        let misses: Vec<_> = misses.map(|(number, _)| number).collect();
        let (answers, expected) = match (mode, seals) {
            (Mode::Each, true) => (MANY, vec![200]),
            (Mode::Each, false) => (MANY, vec![20, 140, 200]),
            (Mode::Prefix, true) => (201, vec![200]),
            (Mode::Prefix, false) => (21, vec![20]),
        };
        assert_eq!((grants.outcomes().len(), misses), (answers, expected), "{mode:?} {seals}");
        let leased = stats(&engine).leases_live as usize;
        assert_eq!(leased, grants.outcomes().iter().flatten().count(), "nothing else is leased");
        drop(grants);
        assert_eq!(stats(&engine).leases_live, 0);
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
                let leases = granted(&lease_all(&engine, &keys, Mode::Each));
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

/// A reader copies with no lease that protects it: a copy is right if the generation is the same
/// after it.
#[test]
fn a_copy_within_one_generation_is_right_while_objects_come_and_go() {
    const OBJECTS: usize = 40;
    const CURRENT_MIN: u64 = 200;
    let place = Place::new();
    let engine = place.engine(1);
    let descriptor = engine.generations().descriptor().try_clone_to_owned().unwrap();
    let view = GenerationsView::from_descriptor(descriptor).unwrap();
    assert_eq!(view.slots(), engine.generations().slots());
    let keys = names(OBJECTS);
    let objects: Vec<_> = (0..).zip(&keys).map(|(seed, _)| bytes(600 << 10, seed)).collect();
    let (mut current, mut gone) = (0, 0);
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
                let leases = granted(&lease_all(&engine, std::slice::from_ref(key), Mode::Each));
                let [lease] = &leases[..] else { continue };
                let before = view.get(lease.slot);
                release_all(&engine, &[lease.id]);
                assert_eq!(before, lease.generation, "while it is leased it is there");
                // Every other reader is slow.
                let copied = place.read(&lease.extents);
                thread::sleep(Duration::from_millis(lease.id.sequence % 2 * 5));
                let same = place.read(&lease.extents) == copied;
                if view.get(lease.slot) == before {
                    assert!(same && copied == *object, "wrong bytes within one generation");
                    current += 1;
                } else {
                    gone += 1;
                }
            }
            current >= CURRENT_MIN && gone > 0
        });
        stop.store(true, Ordering::Relaxed);
    });
    println!("{current} copies were made within one generation, {gone} were not");
}

#[test]
fn a_removed_object_keeps_its_generation_until_its_last_lease_ends() {
    let place = Place::new();
    let engine = place.engine(1);
    let descriptor = engine.generations().descriptor().try_clone_to_owned().unwrap();
    let view = GenerationsView::from_descriptor(descriptor).unwrap();
    let keys = names(1);
    store_all(&engine, &keys);
    let lease = granted(&lease_all(&engine, &keys, Mode::Each)).remove(0);
    remove(&engine, &keys[0]).unwrap();
    assert_eq!(view.get(lease.slot), lease.generation);
    release_all(&engine, &[lease.id]);
    assert_eq!(view.get(lease.slot), 0);
}
