//! The change log behind the requests, and eviction ahead of need.

use std::thread;

use kvlease_attach::GenerationsView;
use kvlease_cache::{ChangeKind, Gap};
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Mode};

use crate::fixture::{
    CALLER, CAPACITY, Place, TTL, assert_empty, begin, lease, remove, run, stats, store, until,
};

const OBJECT: usize = 1 << 20;

#[test]
fn an_answer_leaves_when_the_readers_have_what_it_says() {
    let place = Place::new();
    let engine = place.engine(1);
    let shown = |from: u64| -> Vec<_> {
        let changes = engine.changes(from).unwrap();
        changes.into_iter().map(|c| (c.sequence, c.kind, c.key.to_string(), c.freed)).collect()
    };
    store(&engine, "a", &bytes(5, 1)).unwrap();
    assert_eq!(shown(1), [(1, ChangeKind::Sealed, "a".to_owned(), false)]);
    let grants = run(lease(&engine, "a", None, TTL)).unwrap();
    remove(&engine, "a").unwrap();
    assert_eq!(shown(2), [(2, ChangeKind::Removed, "a".to_owned(), false)]);
    drop(grants);
    assert_eq!(shown(3), [(3, ChangeKind::Freed, "a".to_owned(), true)]);
    assert_empty(&engine);
    drop(begin(&engine, "b", Some(5)).unwrap());
    assert_eq!(shown(4), [], "what was never published makes no change");
}

#[test]
fn a_reader_that_fell_behind_is_told_where_to_go_on() {
    let place = Place::new();
    let engine = place.engine(1);
    for _ in 0..1000 {
        store(&engine, "a", b"a").unwrap();
        remove(&engine, "a").unwrap();
    }
    assert_eq!(engine.changes(1), Err(Gap { next: 2001 }));
    let latest = engine.changes(2000).unwrap();
    assert_eq!((latest.len(), latest[0].kind), (1, ChangeKind::Removed));
}

#[test]
fn objects_that_are_taken_over_are_reported() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "a", &bytes(5, 1)).unwrap();
    drop(engine);
    let engine = place.engine(2);
    let changes = engine.changes(1).unwrap();
    assert_eq!((changes.len(), changes[0].kind), (1, ChangeKind::Restored));
}

/// Stores objects from several threads, more than there is room for, and reads behind them.
fn compete(free_target: ByteSize) {
    let place = Place::new();
    let engine = place.engine_with(1, |config| config.catalog.free_target = free_target);
    until("population", || stats(&engine).populated == CAPACITY);
    let view = GenerationsView::from_descriptor(
        engine.generations().descriptor().try_clone_to_owned().unwrap(),
    )
    .unwrap();
    let keys: Vec<_> = (0..3 * 60).map(|number| number.to_string()).collect();
    thread::scope(|scope| {
        let store_all = |keys: &[String]| {
            let sent = bytes(OBJECT, 7);
            for key in keys {
                // Of eight objects that fit, three are pending and one is leased at most.
                store(&engine, key, &sent).expect("there is space, or it can be made");
            }
        };
        let writers: Vec<_> =
            keys.chunks(60).map(|part| scope.spawn(move || store_all(part))).collect();
        for key in keys.iter().cycle() {
            if writers.iter().all(|writer| writer.is_finished()) {
                break;
            }
            let grants = engine.acquire(&CALLER, "b", &[key], Mode::Each, None);
            if let Ok(lease) = grants.first() {
                let there = view.get(lease.slot);
                assert_eq!(there, lease.generation, "a reader finds what it is granted");
            }
        }
    });
    // Eviction ahead of need begins below half of the target.
    until("free space", || stats(&engine).free.bytes() >= free_target.bytes() / 2);
    for key in &keys {
        let _ = remove(&engine, key);
    }
    assert_empty(&engine);
}

#[test]
fn writers_that_compete_for_space_all_get_theirs() {
    compete(ByteSize::ZERO);
}

#[test]
fn writers_find_space_that_was_made_ahead_of_need() {
    compete(ByteSize::mib(2));
}

#[test]
fn what_was_used_last_is_not_evicted_ahead_of_need() {
    let place = Place::new();
    let free_target = ByteSize::mib(2);
    let engine = place.engine_with(1, |config| config.catalog.free_target = free_target);
    until("population", || stats(&engine).populated == CAPACITY);
    let sent = bytes(OBJECT, 1);
    for number in 0..8 {
        store(&engine, &number.to_string(), &sent).unwrap();
    }
    // Eviction ahead of need begins below half of the target, and restores it.
    until("free space", || stats(&engine).free >= free_target);
    let left: Vec<_> =
        (0..8).filter(|number| engine.stat("b", &number.to_string()).is_some()).collect();
    assert_eq!(left, [2, 3, 4, 5, 6, 7]);
    assert_eq!(stats(&engine).totals.evicted, 2, "no more than is needed");
}
