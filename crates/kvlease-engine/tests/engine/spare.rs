//! Space ahead of need: out of what is free, within a share, and named when it is published.

use kvlease_attach::WritableAttachment;
use kvlease_engine::{Engine, NotStored, Reservation, StoreItem, Stored};
use kvlease_sys::{Digest, boot_time};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, ByteSize, Caller, Key, WriteRefused};

use crate::fixture::{
    CALLER, CAPACITY, GRACE, Place, assert_empty, begin, limits, remove, stats, store, until,
};

/// Share of all spare reservations together in the arena of these tests.
const SHARE: usize = (CAPACITY.bytes() / 64) as usize;

fn prepare(engine: &Engine, len: usize) -> Result<Reservation, WriteRefused> {
    let len = ByteSize::new(len as u64);
    engine.prepare(&CALLER, [len].into_iter(), limits(1)).remove(0)
}

fn fill(engine: &Engine, reservation: &Reservation, bytes: &[u8]) {
    let arena = engine.arena_descriptor(true).unwrap();
    let client = WritableAttachment::from_descriptor(arena, CAPACITY).unwrap();
    client.write_part(reservation.extents(), 0, bytes, None).unwrap();
}

fn item(reservation: Reservation, key: &str, bytes: &[u8]) -> StoreItem {
    let (key, len) = (Key::new(key).unwrap(), ByteSize::new(bytes.len() as u64));
    StoreItem { reservation, key, len, checksum: Digest::of(bytes) }
}

fn name(engine: &Engine, item: StoreItem) -> Result<Stored, Box<NotStored>> {
    name_by(engine, &CALLER, item)
}

fn name_by(engine: &Engine, caller: &Caller, item: StoreItem) -> Result<Stored, Box<NotStored>> {
    let stored = engine.store(caller, &BucketName::new("b").unwrap(), vec![item]).remove(0);
    stored.map_err(Box::new)
}

fn refusal(outcome: Result<Stored, Box<NotStored>>) -> (WriteRefused, Option<Reservation>) {
    let NotStored { refused, reservation } = *outcome.unwrap_err();
    (refused, reservation)
}

#[test]
fn an_object_that_is_named_last_is_what_others_read() {
    let place = Place::new();
    let engine = place.engine(1);
    for len in [0, 1, 4096, 5_000, SHARE] {
        let sent = bytes(len, len as u64);
        let reservation = prepare(&engine, len.next_multiple_of(4096)).unwrap();
        fill(&engine, &reservation, &sent);
        assert_eq!(stats(&engine).writes_in_flight, 1);
        let stored = name(&engine, item(reservation, "k", &sent)).unwrap();
        assert_eq!((stored.len.bytes(), stored.checksum), (len as u64, Digest::of(&sent)));
        let found = engine.stat("b", "k").unwrap();
        assert!(place.read(&found.extents) == sent);
        remove(&engine, "k").unwrap();
        assert_empty(&engine);
    }
}

#[test]
fn spares_have_a_share_and_nothing_is_evicted_for_them() {
    let place = Place::new();
    let engine = place.engine(1);
    let half = prepare(&engine, SHARE / 2).unwrap();
    let other = prepare(&engine, SHARE / 2).unwrap();
    let limit = WriteRefused::TooManyReservations;
    assert_eq!(prepare(&engine, 1).unwrap_err(), limit);
    drop(half);
    let half = prepare(&engine, SHARE / 2).unwrap();
    engine.abort(vec![half, other]);
    assert_empty(&engine);
    for number in 0..CAPACITY.bytes() >> 20 {
        store(&engine, &number.to_string(), &bytes(1 << 20, number)).unwrap();
    }
    assert_eq!(prepare(&engine, 4096).unwrap_err(), WriteRefused::OnlyLeased);
    assert_eq!(stats(&engine).totals.evicted, 0);
    remove(&engine, "0").unwrap();
    assert!(prepare(&engine, 4096).is_ok());
    let too_large = prepare(&engine, CAPACITY.bytes() as usize + 1).unwrap_err();
    assert_eq!(too_large, WriteRefused::TooLarge { object_len_max: CAPACITY });
}

#[test]
fn a_spare_whose_key_is_taken_is_used_for_another() {
    let place = Place::new();
    let engine = place.engine(1);
    let sent = bytes(100, 1);
    store(&engine, "there", b"abc").unwrap();
    let pending = begin(&engine, "pending", Some(1)).unwrap();
    let reservation = prepare(&engine, 4096).unwrap();
    fill(&engine, &reservation, &sent);
    let exists = refusal(name(&engine, item(reservation, "there", &sent)));
    assert_eq!(exists.0, WriteRefused::Exists);
    let writing = refusal(name(&engine, item(exists.1.unwrap(), "pending", &sent)));
    assert_eq!(writing.0, WriteRefused::Pending);
    drop(pending);
    name(&engine, item(writing.1.unwrap(), "pending", &sent)).unwrap();
    assert!(place.read(&engine.stat("b", "pending").unwrap().extents) == sent);
    assert_eq!(place.read(&engine.stat("b", "there").unwrap().extents), b"abc");
}

#[test]
fn what_is_no_spare_of_the_caller_or_too_short_is_discarded() {
    let place = Place::new();
    let engine = place.engine(1);
    let (bucket, other) = (BucketName::new("b").unwrap(), Caller::lane(1, 0, 0, None));
    let spare = || item(prepare(&engine, 4096).unwrap(), "k", b"abc");
    let foreign = name_by(&engine, &other, spare());
    assert!(matches!(refusal(foreign), (WriteRefused::Unknown, None)));
    let StoreItem { reservation, checksum, .. } = spare();
    let committed = engine.commit(&CALLER, vec![(reservation, checksum)]).remove(0);
    assert_eq!(committed, Err(WriteRefused::Unknown), "it has no key");
    let named = vec![(Key::new("named").unwrap(), ByteSize::new(3))];
    let named = engine.reserve(&CALLER, &bucket, named, limits(1)).remove(0).unwrap();
    let named = name(&engine, item(named, "k", b"abc"));
    assert!(matches!(refusal(named), (WriteRefused::Unknown, None)));
    let short = item(prepare(&engine, 4096).unwrap(), "k", &[0; 4097]);
    let refused = refusal(name(&engine, short));
    assert!(matches!(refused, (WriteRefused::BeyondReservation { .. }, None)));
    assert_empty(&engine);
}

#[test]
fn a_spare_ends_by_its_deadline_and_its_space_waits_for_a_late_writer() {
    let place = Place::new();
    let engine = place.brief_engine(1);
    let late = prepare(&engine, 4096).unwrap();
    let deadline = late.deadline();
    assert_eq!(late.until(), deadline.after(GRACE));
    until("the deadline", || boot_time() >= deadline);
    let expired = refusal(name(&engine, item(late, "k", b"abc")));
    assert!(matches!(expired, (WriteRefused::Expired, None)));
    assert_empty(&engine);
    let reservation = prepare(&engine, SHARE).unwrap();
    let over = reservation.until();
    // The lease fence outlives both, as it does a kill.
    drop((reservation, engine));
    let engine = place.engine(2);
    let held = stats(&engine).quarantined;
    if boot_time() < over {
        assert!(held.bytes() >= SHARE as u64, "{held}");
    }
    until("the end of the quarantine", || stats(&engine).quarantined == ByteSize::ZERO);
    assert!(boot_time() > over);
}
