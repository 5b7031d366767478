//! A shared memory directory that is full to the last byte.

use std::{fs::File, io::Write, path::PathBuf};

use kvlease_arena::ManifestOrigin;
use kvlease_testing::{bytes, in_tmpfs_of};

use crate::fixture::{Place, lease, run, stats, store};

const TEST: &str = "exhaustion::a_full_directory_costs_what_cannot_be_recorded_and_nothing_else";
const OBJECTS: u64 = 2_000;

#[test]
fn a_full_directory_costs_what_cannot_be_recorded_and_nothing_else() {
    if let Some(dir) = in_tmpfs_of("20m", TEST) {
        fill_up(dir);
    }
}

/// A name that takes many cells of the record.
fn key(n: u64) -> String {
    format!("{n:02000}")
}

fn fill_up(dir: PathBuf) {
    let place = Place::at(dir.clone());
    let engine = place.engine(1);
    while stats(&engine).populated < crate::fixture::CAPACITY {
        std::thread::yield_now();
    }
    let mut other = File::create(dir.join("other")).unwrap();
    while other.write_all(&[1; 4096]).is_ok() {}
    for n in 0..OBJECTS {
        store(&engine, &key(n), &bytes(100, n)).unwrap();
    }
    let unrecorded = engine.stats().counters.objects_unrecorded;
    assert!(unrecorded > 0 && unrecorded < OBJECTS / 2, "{unrecorded}");
    assert_eq!(stats(&engine).objects, OBJECTS, "all of them are served");
    drop(engine);

    // There is no room for two records: the earlier one makes way once it has been read.
    let engine = place.engine(2);
    let recovery = engine.stats().recovery;
    assert_eq!((recovery.origin, recovery.dropped()), (ManifestOrigin::Kept, 0));
    assert_eq!(recovery.restored.objects, OBJECTS - unrecorded);
    for n in 0..OBJECTS {
        if let Ok(guard) = run(lease(&engine, &key(n), None, crate::fixture::TTL)) {
            assert_eq!(place.read(&guard.first().unwrap().extents), bytes(100, n));
        }
    }
    assert_eq!(engine.stats().counters.corrupt_objects, 0);
    drop(engine);
    assert_eq!(stats(&place.engine(3)).objects, OBJECTS - unrecorded);
}
