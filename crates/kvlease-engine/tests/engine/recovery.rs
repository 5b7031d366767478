//! The cache outlives its engine, and nothing that it serves is wrong afterwards.

use std::time::Duration;

use kvlease_arena::ManifestOrigin;
use kvlease_engine::Engine;
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Miss, Mode, WriteRefused};

use crate::fixture::{
    CALLER, CAPACITY, GRACE, Place, TTL, begin, lease, remove, run, stats, store, until,
};

const ABSENT: Miss = Miss::Absent;

/// Bytes that a client gets under a lease of its own.
fn get(place: &Place, engine: &Engine, key: &str) -> Result<Vec<u8>, Miss> {
    let guard = run(lease(engine, key, None, TTL))?;
    Ok(place.read(&guard.first().unwrap().extents))
}

fn corrupt(engine: &Engine) -> u64 {
    engine.stats().counters.corrupt_objects
}

#[test]
fn a_full_cache_takes_puts_at_once_after_reads_and_after_a_stop_without_leases() {
    let place = Place::new();
    let engine = place.engine(1);
    for number in 0..8 {
        store(&engine, &format!("k{number}"), &bytes(1 << 20, number)).unwrap();
    }
    for number in 0..8 {
        let mut read = engine.read(&CALLER, "b", &format!("k{number}")).unwrap();
        while read.next_piece().unwrap().is_some() {}
    }
    // As if killed: reads of the daemon ended with it.
    drop(engine);
    let engine = place.engine(2);
    store(&engine, "after a kill", &bytes(1 << 20, 8)).unwrap();
    drop(run(lease(&engine, "after a kill", None, TTL)).unwrap());
    engine.stop();
    drop(engine);
    let engine = place.engine(3);
    assert_eq!(engine.stats().recovery.restored.objects, 8);
    store(&engine, "after a stop", &bytes(8 << 20, 9)).unwrap();
    run(lease(&engine, "after a stop", None, TTL)).unwrap().deliver();
    engine.stop();
    drop(engine);
    let engine = place.engine(4);
    let refused = store(&engine, "under a lease", &bytes(1 << 20, 10));
    assert_eq!(refused.unwrap_err(), WriteRefused::OnlyLeased);
}

#[test]
fn what_was_sealed_is_served_after_a_restart_and_nothing_else() {
    let place = Place::new();
    let engine = place.engine(1);
    let (a, b) = (bytes(100_000, 1), bytes(3 << 20, 2));
    for (key, bytes) in [("a", &a), ("b", &b), ("removed", &a), ("empty", &Vec::new())] {
        store(&engine, key, bytes).unwrap();
    }
    remove(&engine, "removed").unwrap();
    let mut unfinished = begin(&engine, "unfinished", Some(9)).unwrap();
    unfinished.write(b"half").unwrap();
    drop((unfinished, engine));

    let engine = place.engine(2);
    let recovery = engine.stats().recovery;
    assert_eq!((recovery.origin, recovery.dropped()), (ManifestOrigin::Kept, 0));
    assert_eq!(recovery.restored.objects, 3);
    assert_eq!(recovery.restored.bytes, (a.len() + b.len()) as u64);
    assert_eq!((stats(&engine).objects, stats(&engine).unverified), (3, 3));
    assert_eq!(get(&place, &engine, "a"), Ok(a));
    assert_eq!(get(&place, &engine, "b"), Ok(b));
    assert_eq!(get(&place, &engine, "empty"), Ok(vec![]));
    assert_eq!(stats(&engine).unverified, 0, "who is told of an object can trust it");
    for gone in ["removed", "unfinished"] {
        assert_eq!(get(&place, &engine, gone), Err(ABSENT));
    }
}

#[test]
fn a_cache_lives_through_one_restart_after_the_other() {
    let place = Place::new();
    for epoch in 1..6 {
        let engine = place.engine(epoch);
        for earlier in 1..epoch {
            let sent = bytes(50_000, earlier);
            assert_eq!(get(&place, &engine, &format!("k{earlier}")), Ok(sent));
        }
        store(&engine, &format!("k{epoch}"), &bytes(50_000, epoch)).unwrap();
    }
}

/// A quarter of the arena.
const QUARTER: usize = CAPACITY.bytes() as usize / 4;

/// An engine whose arena is full of `k0` to `k3`, stored in that order.
fn engine_of_quarters(place: &Place) -> Engine {
    let engine = place.engine(1);
    for n in 0..4 {
        store(&engine, &format!("k{n}"), &bytes(QUARTER, n)).unwrap();
    }
    engine
}

#[test]
fn what_was_read_lately_outlives_what_was_not_across_a_restart() {
    let place = Place::new();
    let engine = engine_of_quarters(&place);
    for n in [1, 0] {
        let ttl = Duration::from_millis(1);
        let guard = run(lease(&engine, &format!("k{n}"), Some(ttl), TTL)).unwrap();
        let over = guard.first().unwrap().deadline.after(GRACE);
        drop(guard);
        until("the end of the lease", || kvlease_sys::boot_time() > over);
    }
    drop(engine);
    let engine = place.engine(2);
    for (n, gone) in (4..).zip(["k2", "k3", "k1", "k0"]) {
        assert!(engine.stat("b", gone).is_some());
        store(&engine, &format!("k{n}"), &bytes(QUARTER, n)).unwrap();
        assert!(engine.stat("b", gone).is_none(), "{gone}");
    }
}

#[test]
fn what_is_evicted_after_a_restart_is_the_oldest() {
    let place = Place::new();
    let engine = engine_of_quarters(&place);
    drop(engine);
    let engine = place.engine(2);
    store(&engine, "new", &bytes(QUARTER, 9)).unwrap();
    assert!(engine.stat("b", "k0").is_none());
    drop(engine);
    let engine = place.engine(3);
    for n in 1..4 {
        assert_eq!(get(&place, &engine, &format!("k{n}")), Ok(bytes(QUARTER, n)));
    }
    assert_eq!(get(&place, &engine, "new"), Ok(bytes(QUARTER, 9)));
}

#[test]
fn what_was_changed_while_nobody_served_is_never_leased() {
    let place = Place::new();
    let engine = place.engine(1);
    for key in ["one", "batched", "read", "whole"] {
        store(&engine, key, &bytes(2 << 20, 1)[..1 << 20]).unwrap();
    }
    let extents = |key| engine.stat("b", key).unwrap().extents;
    let extents = ["one", "batched", "read"].map(extents);
    drop(engine);
    extents.iter().for_each(|extents| place.damage(extents, 777_777));

    let engine = place.engine(2);
    assert_eq!(get(&place, &engine, "one"), Err(Miss::Corrupt));
    let batch = engine.acquire(&CALLER, "b", &["whole", "batched"], Mode::Each, None);
    let outcomes = batch.outcomes().iter().map(|outcome| outcome.as_ref().err());
    assert_eq!(outcomes.collect::<Vec<_>>(), [None, Some(&Miss::Corrupt)]);
    let mut read = engine.read(&CALLER, "b", "read").unwrap();
    let error = loop {
        match read.next_piece() {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(error, kvlease_engine::ReadError::Corrupt);
    assert_eq!((corrupt(&engine), stats(&engine).objects), (3, 1));
    assert_eq!(stats(&engine).leases_live, 2, "the batch's, and the reader's");
    drop((read, batch));
    store(&engine, "one", &bytes(1 << 20, 5)).unwrap();
    drop(engine);
    let engine = place.engine(3);
    assert_eq!(get(&place, &engine, "one"), Ok(bytes(1 << 20, 5)));
    assert_eq!(stats(&engine).objects, 2);
}

#[test]
fn the_scrubber_finds_what_nobody_asks_for() {
    let place = Place::new();
    let scrub =
        |epoch| place.engine_with(epoch, |config| config.scrub_rate = Some(ByteSize::gib(8)));
    let engine = place.engine(1);
    for key in ["kept", "changed", "changed later"] {
        store(&engine, key, &bytes(1 << 20, 3)).unwrap();
    }
    let places = ["changed", "changed later"].map(|key| engine.stat("b", key).unwrap().extents);
    drop(engine);
    place.damage(&places[0], 0);
    // What was taken over is looked at soon after the start.
    let engine = scrub(2);
    until("the first look", || stats(&engine).unverified == 0);
    assert_eq!((corrupt(&engine), stats(&engine).objects), (1, 2));
    assert!(engine.stat("b", "changed").is_none());
    drop(engine);
    // And so it is in the next round, whenever the bytes changed.
    place.damage(&places[1], (1 << 20) - 1);
    let engine = scrub(3);
    until("the first look", || stats(&engine).unverified == 0);
    assert_eq!((corrupt(&engine), stats(&engine).objects), (1, 1));
    assert!(engine.stats().counters.scrubbed >= 2 << 20);
    assert_eq!(get(&place, &engine, "kept"), Ok(bytes(1 << 20, 3)));
}

#[test]
fn what_may_still_be_read_is_not_evicted_before_its_reader_is_gone() {
    let place = Place::new();
    let engine = place.engine(1);
    let whole = bytes(CAPACITY.bytes() as usize, 1);
    store(&engine, "k", &whole).unwrap();
    let ttl = Duration::from_secs(2);
    let guard = run(lease(&engine, "k", Some(ttl), TTL)).unwrap();
    let lease = guard.first().unwrap().clone();
    guard.deliver();
    drop(engine);
    let engine = place.engine(2);
    assert_eq!(get(&place, &engine, "k"), Ok(whole.clone()), "others may read it, too");
    until("the end of the lease", || match begin(&engine, "new", Some(1 << 20)) {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!(refused, WriteRefused::OnlyLeased);
            assert!(place.read(&lease.extents) == whole, "its client reads on");
            false
        }
    });
    assert!(kvlease_sys::boot_time() > lease.deadline.after(GRACE));
    assert!(engine.stat("b", "k").is_none());
}

#[test]
fn a_cold_start_is_empty_and_stays_so() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(1000, 1)).unwrap();
    drop(engine);
    let engine = place.cold_engine(2);
    assert_eq!((engine.stats().recovery.origin, stats(&engine).objects), (ManifestOrigin::Kept, 0));
    assert_eq!(get(&place, &engine, "k"), Err(ABSENT));
    drop(engine);
    assert_eq!(get(&place, &place.engine(3), "k"), Err(ABSENT));
}

#[test]
fn many_objects_with_long_names_are_found_again() {
    let place = Place::new();
    let engine = place.engine(1);
    let key = |n: u64| format!("{n:0width$}", width = 1 + (n as usize * 97) % 2048);
    for n in 0..1_500 {
        store(&engine, &key(n), &bytes(n as usize * 3, n)).unwrap();
        // Cells are freed and used again in between.
        if n % 3 == 0 {
            remove(&engine, &key(n)).unwrap();
        }
    }
    drop(engine);
    let engine = place.engine(2);
    assert_eq!(engine.stats().recovery.dropped(), 0);
    for n in 0..1_500 {
        let expected = if n % 3 == 0 { Err(ABSENT) } else { Ok(bytes(n as usize * 3, n)) };
        assert!(get(&place, &engine, &key(n)) == expected, "object {n}");
    }
}
