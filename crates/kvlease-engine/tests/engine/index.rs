//! The published index as requests, eviction and restarts change it.

use kvlease_attach::IndexView;
use kvlease_engine::{Engine, EngineConfig};
use kvlease_testing::bytes;
use kvlease_types::Epoch;

use crate::fixture::{CALLER, Place, TTL, begin, lease, remove, run, store};

/// A client's view of the index of this incarnation.
fn view(engine: &Engine, epoch: u64) -> IndexView {
    let index = engine.published_index();
    let descriptor = index.descriptor().try_clone_to_owned().unwrap();
    let incarnation = (engine.incarnation_descriptor().unwrap(), Epoch::new(epoch));
    let index = (descriptor, index.slots(), index.key());
    IndexView::from_descriptors(index, incarnation, "b").unwrap()
}

#[test]
fn an_object_is_found_from_its_seal_to_its_departure() {
    let place = Place::new();
    let engine = place.engine(1);
    let view = view(&engine, 1);
    let pending = begin(&engine, "a", Some(5)).unwrap();
    assert_eq!(view.find("a"), None, "it is being written");
    drop(pending);
    store(&engine, "a", &bytes(5, 1)).unwrap();
    let found = view.find("a").unwrap();
    let stat = engine.stat("b", "a").unwrap();
    assert!(!found.leased_only);
    assert_eq!([found.extent], stat.extents[..]);
    assert_eq!((found.generation, found.checksum), (stat.generation, stat.checksum));
    assert_eq!(place.read(&[found.extent]), bytes(5, 1));
    remove(&engine, "a").unwrap();
    assert_eq!(view.find("a"), None);
}

#[test]
fn objects_of_a_bucket_that_is_left_out_are_leased_and_never_found() {
    let place = Place::new();
    let left_out = |config: &mut EngineConfig| {
        config.index_left_out = "b".parse().unwrap();
    };
    for epoch in 1..=2 {
        let engine = place.engine_with(epoch, left_out);
        let view = view(&engine, epoch);
        if epoch == 1 {
            store(&engine, "a", &bytes(5, 1)).unwrap();
        }
        assert_eq!(view.find("a"), None);
        drop(run(lease(&engine, "a", None, TTL)).unwrap());
        assert_eq!(view.find("a"), None, "a lease that verifies it changes nothing");
        assert_eq!(engine.stats().counters.objects_unpublished, 0, "that is no failure");
    }
    // A start without the setting has it in the index, and a removal ends that.
    let engine = place.engine(3);
    let view = view(&engine, 3);
    assert!(view.find("a").is_some());
    remove(&engine, "a").unwrap();
    assert_eq!(view.find("a"), None);
}

#[test]
fn objects_that_are_taken_over_are_read_without_a_lease_once_they_are_verified() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "a", &bytes(5, 1)).unwrap();
    let of_old = view(&engine, 1);
    drop(engine);
    assert!(of_old.is_current() && of_old.find("a").is_some(), "the bytes are still in place");
    let engine = place.engine_with(2, |config| config.scrub_rate = None);
    assert!(!of_old.is_current());
    let view = view(&engine, 2);
    assert!(view.find("a").unwrap().leased_only);
    // Its first lease verifies it.
    drop(run(lease(&engine, "a", None, TTL)).unwrap());
    assert!(!view.find("a").unwrap().leased_only);
}

#[test]
fn an_object_that_is_read_without_a_lease_is_evicted_later() {
    for reported in [false, true] {
        let place = Place::new();
        let engine = place.engine(1);
        let view = view(&engine, 1);
        store(&engine, "first", &bytes(1 << 20, 1)).unwrap();
        let first = view.find("first").unwrap();
        for number in 0.. {
            if reported {
                assert_eq!(
                    engine.note_reads(&CALLER, &[(first.slot, first.generation)], 3),
                    [true]
                );
            }
            store(&engine, &format!("other {number}"), &bytes(1 << 20, number)).unwrap();
            if view.find("other 0").is_none() {
                break;
            }
        }
        assert_eq!(view.find("first").is_some(), reported);
        let counted = engine.stats().counters.index_reads;
        assert_eq!(counted > 0 && counted.is_multiple_of(3), reported);
    }
}

#[test]
fn reports_of_what_has_left_do_nothing() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "a", &bytes(5, 1)).unwrap();
    let found = view(&engine, 1).find("a").unwrap();
    let reports =
        [(found.slot, found.generation), (found.slot, found.generation + 1), (u32::MAX, 1)];
    assert_eq!(engine.note_reads(&CALLER, &reports, 3), [true, false, false]);
    remove(&engine, "a").unwrap();
    assert_eq!(engine.note_reads(&CALLER, &reports, 3), [false, false, false]);
    assert_eq!(engine.stats().counters.index_reads, 6);
}
