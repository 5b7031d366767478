//! Objects on their way in: published whole, or gone without a trace.

use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, WriteRefused};

use crate::fixture::{
    CALLER, CAPACITY, Place, TTL, assert_empty, begin, fragment, lease, remove, run, stats, store,
};

#[test]
fn a_put_that_is_dropped_leaves_nothing_after_any_number_of_writes() {
    let place = Place::new();
    let engine = place.engine(1);
    let piece = bytes(100_000, 1);
    for len in [Some(10 * piece.len()), None] {
        for writes in 0..=10 {
            let mut put = begin(&engine, "k", len).unwrap();
            for _ in 0..writes {
                put.write(&piece).unwrap();
            }
            assert_eq!(stats(&engine).writes_in_flight, 1);
            assert!(engine.stat("b", "k").is_none(), "invisible before it is sealed");
            drop(put);
            assert_empty(&engine);
        }
    }
    assert_eq!(stats(&engine).totals.aborted, 22);
}

#[test]
fn an_object_of_unknown_length_grows_and_keeps_its_exact_length() {
    let place = Place::new();
    let engine = place.engine(1);
    for (number, len) in [0, 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 4097].into_iter().enumerate() {
        let sent = bytes(len, number as u64);
        let mut put = begin(&engine, "k", None).unwrap();
        for piece in sent.chunks(77_777) {
            put.write(piece).unwrap();
        }
        let stored = put.seal().unwrap();
        assert_eq!(stored.checksum, Digest::of(&sent));
        let info = engine.stat("b", "k").unwrap();
        assert_eq!(info.len, ByteSize::new(len as u64));
        assert!(place.read(&info.extents) == sent, "len {len}");
        let units = len.div_ceil(4096) as u64 * 4096;
        assert_eq!(stats(&engine).allocated.bytes(), units, "what was reserved too much is free");
        remove(&engine, "k").unwrap();
        assert_empty(&engine);
    }
}

#[test]
fn an_object_of_unknown_length_takes_what_is_left_beside_others() {
    let place = Place::new();
    let engine = place.engine(1);
    let mut other = begin(&engine, "other", Some(1 << 20)).unwrap();
    other.write(&[1]).unwrap();
    let sent = bytes(13 << 19, 1);
    let mut put = begin(&engine, "k", None).unwrap();
    for piece in sent.chunks(77_777) {
        put.write(piece).unwrap();
    }
    put.seal().unwrap();
    let info = engine.stat("b", "k").unwrap();
    assert!(place.read(&info.extents) == sent);
    assert!(other.write(&bytes((1 << 20) - 1, 2)).is_ok(), "what was announced still fits");
}

#[test]
fn an_object_may_span_many_extents() {
    let place = Place::new();
    let engine = place.engine(1);
    for len in [Some(3 << 20), None] {
        fragment(&engine);
        let leases = lease_all_pieces(&engine);
        let sent = bytes(3 << 20, 5);
        let mut put = begin(&engine, "k", len).unwrap();
        for piece in sent.chunks(100_001) {
            put.write(piece).unwrap();
        }
        assert_eq!(put.seal().unwrap().checksum, Digest::of(&sent));
        let info = engine.stat("b", "k").unwrap();
        assert!(info.extents.len() >= 24, "{} extents", info.extents.len());
        assert!(place.read(&info.extents) == sent);
        let mut read = engine.read(&CALLER, "b", "k").unwrap();
        let mut got = Vec::new();
        while let Some(piece) = read.next_piece().unwrap() {
            got.extend(piece);
        }
        assert!(got == sent);
        drop((read, leases));
        remove_all(&engine);
        assert_empty(&engine);
    }
}

fn keys(engine: &kvlease_engine::Engine) -> Vec<String> {
    let (objects, next) = engine.list("b", "", Default::default(), 10_000);
    assert!(next.is_none());
    objects.into_iter().map(|object| object.key.as_str().to_owned()).collect()
}

fn lease_all_pieces(engine: &kvlease_engine::Engine) -> Vec<kvlease_engine::Grants> {
    let lease = |key: String| run(lease(engine, &key, None, TTL)).unwrap();
    keys(engine).into_iter().map(lease).collect()
}

fn remove_all(engine: &kvlease_engine::Engine) {
    keys(engine).iter().for_each(|key| remove(engine, key).unwrap());
}

#[test]
fn too_many_and_too_few_bytes_are_refused() {
    let place = Place::new();
    let engine = place.engine(1);
    let mut put = begin(&engine, "k", Some(10)).unwrap();
    put.write(b"0123456789").unwrap();
    let announced = ByteSize::new(10);
    assert_eq!(put.write(b"x"), Err(WriteRefused::TooLong { announced }));
    drop(put);
    let mut put = begin(&engine, "k", Some(10)).unwrap();
    put.write(b"012").unwrap();
    let received = ByteSize::new(3);
    assert_eq!(put.seal(), Err(WriteRefused::Incomplete { received, announced }));
    assert_empty(&engine);
}

#[test]
fn an_object_above_the_limit_is_refused_announced_or_not() {
    let place = Place::new();
    let engine = place.engine(1);
    let over = CAPACITY.bytes() as usize + 1;
    let refused = WriteRefused::TooLarge { object_len_max: CAPACITY };
    assert_eq!(begin(&engine, "k", Some(over)).unwrap_err(), refused);
    let mut put = begin(&engine, "k", None).unwrap();
    put.write(&bytes(over - 1, 1)).unwrap();
    assert_eq!(put.write(b"x"), Err(refused));
    drop(put);
    assert_empty(&engine);
}

#[test]
fn names_are_taken_while_they_are_written_and_afterwards() {
    let place = Place::new();
    let engine = place.engine(1);
    let put = begin(&engine, "k", Some(0)).unwrap();
    let refusal = |engine| begin(engine, "k", Some(1)).unwrap_err();
    assert_eq!(refusal(&engine), WriteRefused::Pending);
    put.seal().unwrap();
    assert_eq!(refusal(&engine), WriteRefused::Exists);
}

#[test]
fn an_object_that_cannot_grow_any_further_leaves_nothing() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "leased", &bytes(6 << 20, 1)).unwrap();
    let lease = run(lease(&engine, "leased", None, TTL)).unwrap();
    let mut put = begin(&engine, "k", None).unwrap();
    let error = (0..10).find_map(|_| put.write(&bytes(1 << 20, 2)).err()).unwrap();
    assert_eq!(error, WriteRefused::OnlyLeased);
    drop(put);
    assert_eq!(stats(&engine).free, ByteSize::mib(2));
    drop(lease);
    remove(&engine, "leased").unwrap();
    assert_empty(&engine);
}

#[test]
fn bytes_that_do_not_come_take_little_room() {
    let place = Place::new();
    let engine = place.engine(1);
    let piece = bytes(128 << 10, 1);
    let pieces = CAPACITY.bytes() / piece.len() as u64;
    (0..pieces).for_each(|n| _ = store(&engine, &n.to_string(), &piece).unwrap());
    // Each announces most of the arena.
    let sent = bytes(6 << 20, 2);
    let begin = |n| begin(&engine, &format!("announced {n}"), Some(sent.len())).unwrap();
    let mut puts: Vec<_> = (0..20).map(begin).collect();
    puts.iter_mut().for_each(|put| put.write(&sent[..16]).unwrap());
    assert_eq!(stats(&engine).writes_in_flight, 20);
    assert!(stats(&engine).objects >= pieces - 20, "{} are left", stats(&engine).objects);
    let mut put = puts.pop().unwrap();
    drop(puts);
    for piece in sent[16..].chunks(100_000) {
        put.write(piece).unwrap();
    }
    assert_eq!(put.seal().unwrap().checksum, Digest::of(&sent));
    let info = engine.stat("b", "announced 19").unwrap();
    assert!(place.read(&info.extents) == sent);
}

#[test]
fn an_object_within_the_share_of_what_is_to_come_has_its_space_at_once() {
    let place = Place::new();
    let engine = place.engine(1);
    let len = 1 << 20;
    let put = begin(&engine, "k", Some(len)).unwrap();
    assert_eq!(stats(&engine).being_written.bytes(), len as u64);
    let other = begin(&engine, "other", Some(len)).unwrap();
    assert_eq!(stats(&engine).being_written.bytes(), len as u64 + (64 << 10));
    drop(put);
    drop(begin(&engine, "k", Some(len)).unwrap());
    drop(other);
    assert_empty(&engine);
}
