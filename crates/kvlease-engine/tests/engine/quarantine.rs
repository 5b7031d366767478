//! Quarantine: extents that an earlier engine leased are not handed out before their readers are
//! gone.

use std::time::Duration;

use kvlease_arena::REGION_SIZE;
use kvlease_engine::Engine;
use kvlease_sys::boot_time;
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Extent};

use crate::fixture::{self, CALLER, CAPACITY, GRACE, Place, TTL, renew, run, stats, store, until};

/// Leases an object for `ttl`, as a client that knows nothing of the restart to come.
fn lease(engine: &Engine, key: &str, ttl: Duration) -> kvlease_cache::Lease {
    let guard = run(fixture::lease(engine, key, Some(ttl), TTL)).unwrap();
    let lease = guard.first().unwrap().clone();
    guard.deliver();
    lease
}

/// Fills whatever can be filled, and returns where that was.
fn fill(engine: &Engine) -> Vec<Extent> {
    let mut extents = Vec::new();
    for n in 0.. {
        let key = format!("fill {n}");
        // Short of room, the engine would evict the first again.
        if stats(engine).free < ByteSize::kib(64) {
            break;
        }
        store(engine, &key, &bytes(64 << 10, n)).unwrap();
        extents.extend(engine.stat("b", &key).unwrap().extents.iter().copied());
    }
    extents
}

fn overlap(a: &Extent, b: &Extent) -> bool {
    a.offset < b.end().unwrap() && b.offset < a.end().unwrap()
}

#[test]
fn extents_that_may_still_be_leased_are_not_handed_out_and_all_others_are() {
    let place = Place::new();
    let engine = place.engine(1);
    let sent = bytes(100_000, 1);
    store(&engine, "before", &bytes(3 << 20, 2)).unwrap();
    store(&engine, "k", &sent).unwrap();
    let lease = lease(&engine, "k", TTL);
    drop(engine);
    let engine = place.cold_engine(2);
    assert!(engine.stat("b", "k").is_none(), "the catalog starts anew");
    assert_eq!(engine.release(&CALLER, &[lease.id])[0], None, "of another epoch");
    let regions = stats(&engine).quarantined;
    assert!((REGION_SIZE..=ByteSize::mib(4)).contains(&regions), "{regions}");
    let filled = fill(&engine);
    let total: u64 = filled.iter().map(|extent| extent.len.bytes()).sum();
    assert_eq!(total, CAPACITY.bytes() - regions.bytes(), "everything else is used");
    for extent in &*lease.extents {
        assert!(!filled.iter().any(|other| overlap(extent, other)), "{extent:?}");
    }
    assert!(place.read(&lease.extents) == sent, "the client still reads its bytes");
}

#[test]
fn the_quarantine_ends_after_the_deadline_and_the_grace() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(1 << 20, 1)).unwrap();
    let lease = lease(&engine, "k", Duration::from_millis(500));
    drop(engine);
    let engine = place.cold_engine(2);
    until("the end of the quarantine", || stats(&engine).quarantined == ByteSize::ZERO);
    assert!(boot_time() > lease.deadline.after(GRACE));
    assert_eq!(stats(&engine).free, CAPACITY);
}

#[test]
fn a_renewal_moves_the_end_of_the_quarantine() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(1 << 20, 1)).unwrap();
    let lease = lease(&engine, "k", Duration::from_secs(1));
    let renewed_at = boot_time();
    let ttl = Duration::from_millis(1500);
    assert_eq!(renew(&engine, lease.id, Some(ttl)), Some(ttl));
    drop(engine);
    let engine = place.cold_engine(2);
    until("the end of the quarantine", || stats(&engine).quarantined == ByteSize::ZERO);
    assert!(boot_time() > renewed_at.after(ttl + GRACE));
}

#[test]
fn a_segment_that_nobody_leased_is_free_at_once() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(1 << 20, 1)).unwrap();
    drop(engine);
    let engine = place.cold_engine(2);
    assert_eq!((stats(&engine).free, stats(&engine).quarantined), (CAPACITY, ByteSize::ZERO));
}
