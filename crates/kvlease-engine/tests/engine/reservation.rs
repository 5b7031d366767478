//! Objects that a client writes by itself: published whole, or gone without a trace.

use std::{thread, time::Duration};

use kvlease_attach::WritableAttachment;
use kvlease_engine::{Engine, Reservation, ReserveLimits, Stored};
use kvlease_sys::{Digest, boot_time};
use kvlease_testing::bytes;
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Key, Miss, WriteRefused};

use crate::fixture::{
    CALLER, CAPACITY, GRACE, Place, SHORT_RESERVATION_TTL, TTL, assert_empty, begin, lease, limits,
    remove, run, stats, store, until,
};

fn reserve(engine: &Engine, key: &str, len: usize) -> Result<Reservation, WriteRefused> {
    let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
    let mut reserved =
        engine.reserve(&CALLER, &bucket, vec![(key, ByteSize::new(len as u64))], limits(1));
    reserved.remove(0)
}

fn commit(
    engine: &Engine,
    reservation: Reservation,
    checksum: Checksum,
) -> Result<Stored, WriteRefused> {
    engine.commit(&CALLER, vec![(reservation, checksum)])[0]
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
        let stored = commit(&engine, reservation, digest.finish()).unwrap();
        assert_eq!((stored.len.bytes(), stored.checksum), (len as u64, Digest::of(&sent)));
        let mut read = engine.read(&CALLER, "b", "k").unwrap();
        let mut got = Vec::new();
        while let Some(piece) = read.next_piece().unwrap() {
            got.extend(piece);
        }
        assert!(got == sent);
        drop(read);
        remove(&engine, "k").unwrap();
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
    let exists = WriteRefused::Exists;
    assert_eq!(reserve(&engine, "stored", 1).unwrap_err(), exists);
    let writing = WriteRefused::Pending;
    let _put = begin(&engine, "put", Some(1)).unwrap();
    assert_eq!(reserve(&engine, "put", 1).unwrap_err(), writing);
    let _reservation = reserve(&engine, "reserved", 1).unwrap();
    assert_eq!(reserve(&engine, "reserved", 1).unwrap_err(), writing);
    assert_eq!(begin(&engine, "reserved", Some(1)).unwrap_err(), writing);
    let too_large = reserve(&engine, "large", CAPACITY.bytes() as usize + 1).unwrap_err();
    assert_eq!(too_large, WriteRefused::TooLarge { object_len_max: CAPACITY });
}

#[test]
fn a_commit_after_the_deadline_is_refused_and_discards() {
    let place = Place::new();
    let engine = place.brief_engine(1);
    let reservation = reserve(&engine, "k", 100).unwrap();
    let deadline = reservation.deadline();
    assert_eq!(reservation.until(), deadline.after(GRACE));
    until("the deadline", || boot_time() >= deadline);
    let late = commit(&engine, reservation, Digest::of(b""));
    assert_eq!(late, Err(WriteRefused::Expired));
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
            let waiter = scope.spawn(|| run(lease(&engine, "k", None, TTL)));
            // The reader may come before or after: both must end well.
            thread::sleep(Duration::from_millis(20));
            match commits {
                true => drop(commit(&engine, reservation, Digest::of(b"")).unwrap()),
                false => drop(reservation),
            }
            waiter.join().unwrap()
        });
        match answer {
            Ok(guard) => assert!(commits && guard.first().unwrap().checksum == Digest::of(b"")),
            Err(refused) => assert!(!commits && refused == Miss::Absent),
        }
        assert_eq!(remove(&engine, "k").is_ok(), commits);
    }
}

#[test]
fn the_next_engine_leaves_reserved_extents_alone_until_the_deadline_and_the_grace() {
    let place = Place::new();
    let engine = place.brief_engine(1);
    let client = writer(&engine);
    let reservation = reserve(&engine, "k", 3 << 20).unwrap();
    let (extents, over) = (reservation.extents().to_vec(), reservation.until());
    assert_eq!(reservation.deadline().after(GRACE), over);
    assert!(over <= boot_time().after(SHORT_RESERVATION_TTL + GRACE));
    // The lease fence outlives both, as it does a kill.
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

#[test]
fn what_many_clients_reserve_is_published_by_its_owner_alone() {
    let place = Place::new();
    let engine = place.engine(1);
    let others = [Caller::lane(1, 0, 0, None), Caller::lane(2, 0, 0, None)];
    let bucket = BucketName::new("b").unwrap();
    // More than one part of a batch.
    let items = |count| (0..count).map(|n| (Key::new(format!("k{n}")).unwrap(), ByteSize::ZERO));
    let reserved = engine.reserve(&others[0], &bucket, items(300).collect(), limits(250));
    let (made, refused): (Vec<_>, Vec<_>) = reserved.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (250, 50));
    let too_many = Some(WriteRefused::TooManyReservations);
    assert!(refused.into_iter().all(|refused| refused.err() == too_many), "beyond the limit");
    let mut made = made.into_iter().map(|made| (made.unwrap(), Digest::of(b"")));
    let foreign = engine.commit(&others[1], made.by_ref().take(10).collect());
    assert_eq!(foreign, vec![Err(WriteRefused::Unknown); 10]);
    let committed = engine.commit(&others[0], made.by_ref().take(140).collect());
    assert!(committed.len() == 140 && committed.iter().all(Result::is_ok));
    engine.abort(made.map(|(reservation, _)| reservation).collect());
    let stats = stats(&engine);
    assert_eq!((stats.objects, stats.writes_in_flight, stats.totals.aborted), (140, 0, 110));
}

#[test]
fn open_reservations_leave_a_part_of_the_arena_to_others() {
    let place = Place::new();
    let engine = place.engine(1);
    let bucket = BucketName::new("b").unwrap();
    let connections = [1, 2, 3].map(|number| Caller::lane(number, number % 2, 0, None));
    let reserve = |connection: usize, key: &str, len: u64, open: u64| {
        let items = vec![(Key::new(key).unwrap(), ByteSize::mib(len))];
        let limits = ReserveLimits { reservations: 10, open: ByteSize::mib(open) };
        engine.reserve(&connections[connection], &bucket, items, limits).remove(0)
    };
    let first = reserve(0, "first", 4, 0).unwrap();
    let refused = WriteRefused::TooManyReservations;
    assert_eq!(reserve(0, "of the same", 4, 4).unwrap_err(), refused);
    assert_eq!(reserve(1, "of another", 4, 0).unwrap_err(), refused);
    assert_eq!(reserve(2, "of the user", 3, 0).unwrap_err(), refused);
    let same = reserve(2, "less of the user", 1, 0).unwrap();
    let other = reserve(1, "less", 2, 0).unwrap();
    assert_eq!(reserve(1, "more", 1, 2).unwrap_err(), refused);
    store(&engine, "over HTTP", &bytes(1 << 20, 1)).unwrap();
    engine.abort(vec![first, same]);
    engine.commit(&connections[1], vec![(other, Checksum::new(0))]).remove(0).unwrap();
    assert!(reserve(0, "large and alone", 8, 0).is_ok(), "what is committed counts no more");
}
