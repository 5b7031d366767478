//! Objects that a client writes by itself: published whole, or gone without a trace.

use std::{thread, time::Duration};

use kvlease_attach::WritableAttachment;
use kvlease_cache::ReserveError;
use kvlease_engine::{CommitError, Engine, LeaseRefused, PutError, Reservation};
use kvlease_sys::{Digest, boot_time};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, ByteSize, Key};

use crate::fixture::{
    CAPACITY, GRACE, Place, RESERVATION_TTL, TTL, assert_empty, begin, run, stats, store, until,
};

fn reserve(engine: &Engine, key: &str, len: usize) -> Result<Reservation, PutError> {
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
    engine.reserve(bucket, key, ByteSize::new(len as u64))
}

fn writer(engine: &Engine) -> WritableAttachment {
    WritableAttachment::from_descriptor(engine.arena_descriptor(true).unwrap(), CAPACITY).unwrap()
}

#[test]
fn what_a_client_writes_and_commits_is_what_others_read() {
    let place = Place::new();
    let engine = place.engine(1);
    let client = writer(&engine);
    for (number, len) in [0, 1, 4096, 100_001, 3 << 20].into_iter().enumerate() {
        let sent = bytes(len, number as u64);
        let reservation = reserve(&engine, "k", len).unwrap();
        assert_eq!(reservation.len().bytes(), len as u64);
        assert!(engine.stat("b", "k").is_none(), "invisible before it is committed");
        let mut digest = Digest::new();
        client.write_part(reservation.extents(), 0, &sent, Some(&mut digest)).unwrap();
        let stored = reservation.commit(digest.finish()).unwrap();
        assert_eq!((stored.len.bytes(), stored.checksum), (len as u64, Digest::of(&sent)));
        let mut read = engine.read("b", "k").unwrap();
        let mut got = Vec::new();
        while let Some(piece) = read.next_piece().unwrap() {
            got.extend(piece);
        }
        assert!(got == sent);
        drop(read);
        engine.remove("b", "k").unwrap();
        assert_empty(&engine);
    }
    assert_eq!((stats(&engine).totals.sealed, stats(&engine).totals.aborted), (5, 0));
}

#[test]
fn a_reservation_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let engine = place.engine(1);
    let reservation = reserve(&engine, "k", 1 << 20).unwrap();
    assert_eq!(stats(&engine).writes_in_flight, 1);
    drop(reservation);
    assert_empty(&engine);
    assert_eq!(stats(&engine).totals.aborted, 1);
}

#[test]
fn a_reservation_is_refused_for_the_same_reasons_as_a_put() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "stored", b"abc").unwrap();
    let exists = PutError::Reserve(ReserveError::Exists);
    assert_eq!(reserve(&engine, "stored", 1).unwrap_err(), exists);
    let writing = PutError::Reserve(ReserveError::BeingWritten);
    let _put = begin(&engine, "put", Some(1)).unwrap();
    assert_eq!(reserve(&engine, "put", 1).unwrap_err(), writing);
    let _reservation = reserve(&engine, "reserved", 1).unwrap();
    assert_eq!(reserve(&engine, "reserved", 1).unwrap_err(), writing);
    assert_eq!(begin(&engine, "reserved", Some(1)).unwrap_err(), writing);
    let too_large = reserve(&engine, "large", CAPACITY.bytes() as usize + 1).unwrap_err();
    assert_eq!(too_large, PutError::TooLarge { max: CAPACITY });
}

#[test]
fn a_commit_after_the_deadline_is_refused_and_discards() {
    let place = Place::new();
    let engine = place.engine(1);
    let reservation = reserve(&engine, "k", 100).unwrap();
    let deadline = reservation.deadline();
    assert_eq!(reservation.until(), deadline.after(GRACE));
    until("the deadline", || boot_time() >= deadline);
    let commit = reservation.commit(Digest::of(b""));
    assert_eq!(commit, Err(CommitError::Expired));
    assert!(engine.stat("b", "k").is_none());
    assert_empty(&engine);
}

#[test]
fn a_wait_for_a_reserved_object_ends_with_its_commit_or_abort() {
    let place = Place::new();
    let engine = place.engine(1);
    for commits in [true, false] {
        let reservation = reserve(&engine, "k", 0).unwrap();
        let answer = thread::scope(|scope| {
            let waiter = scope.spawn(|| run(engine.lease("b", "k", None, TTL)));
            // The reader may come before or after: both must end well.
            thread::sleep(Duration::from_millis(20));
            match commits {
                true => drop(reservation.commit(Digest::of(b"")).unwrap()),
                false => drop(reservation),
            }
            waiter.join().unwrap()
        });
        match answer {
            Ok(guard) => assert!(commits && guard.lease().checksum == Digest::of(b"")),
            Err(refused) => assert!(!commits && matches!(refused, LeaseRefused::Absent { .. })),
        }
        assert_eq!(engine.remove("b", "k").is_ok(), commits);
    }
}

#[test]
fn the_next_engine_leaves_reserved_extents_alone_until_the_deadline_and_the_grace() {
    let place = Place::new();
    let engine = place.engine(1);
    let client = writer(&engine);
    let reservation = reserve(&engine, "k", 3 << 20).unwrap();
    let (extents, over) = (reservation.extents().to_vec(), reservation.until());
    assert_eq!(reservation.deadline().after(GRACE), over);
    assert!(over <= boot_time().after(RESERVATION_TTL + GRACE));
    // The horizon outlives both, as it does a kill.
    drop((reservation, engine));
    let engine = place.engine(2);
    let held = stats(&engine).quarantined;
    if boot_time() < over {
        assert!(held >= ByteSize::mib(3), "{held}");
    }
    client.write_part(&extents, 0, &bytes(3 << 20, 1), None).unwrap();
    until("the end of the quarantine", || stats(&engine).quarantined == ByteSize::ZERO);
    assert!(boot_time() > over);
    assert_eq!(stats(&engine).free, CAPACITY);
}
