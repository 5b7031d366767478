//! Reads verify what they give out.

use kvlease_engine::{READ_PIECE_MAX, ReadError};
use kvlease_testing::bytes;

use crate::fixture::{CALLER, Place, assert_empty, remove, stats, store};

#[test]
fn a_corrupt_byte_is_found_before_the_last_piece_is_given_out() {
    let place = Place::new();
    let engine = place.engine(1);
    for len in [1, 4097, READ_PIECE_MAX, READ_PIECE_MAX + 1, 3 << 20] {
        for at in [0, len / 2, len - 1] {
            store(&engine, "k", &bytes(len, 1)).unwrap();
            place.damage(&engine.stat("b", "k").unwrap().extents, at as u64);
            let mut read = engine.read(&CALLER, "b", "k").unwrap();
            let mut got = 0;
            let error = loop {
                match read.next_piece() {
                    Ok(piece) => got += piece.expect("the end is never reached").len(),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, ReadError::Corrupt);
            assert!(got < len, "{got} of {len}");
            drop(read);
            assert_empty(&engine);
        }
    }
    assert_eq!(engine.stats().counters.corrupt_objects, 15);
}

#[test]
fn pieces_are_as_long_as_they_may_be_and_are_the_object_together() {
    let place = Place::new();
    let engine = place.engine(1);
    let sent = bytes(READ_PIECE_MAX + 5, 3);
    store(&engine, "k", &sent).unwrap();
    for (limit, longest) in [
        (None, READ_PIECE_MAX),
        (Some(usize::MAX), READ_PIECE_MAX),
        (Some(1000), 1000),
        (Some(0), 1),
    ] {
        let mut read = engine.read(&CALLER, "b", "k").unwrap();
        limit.into_iter().for_each(|limit| read.limit_pieces(limit));
        let pieces: Vec<_> = std::iter::from_fn(|| read.next_piece().unwrap()).collect();
        let (last, others) = pieces.split_last().unwrap();
        assert!(others.iter().all(|piece| piece.len() == longest) && last.len() <= longest);
        assert!(pieces.concat() == sent, "{limit:?}");
    }
}

#[test]
fn a_successor_of_a_corrupt_object_is_left_alone() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(10_000, 1)).unwrap();
    place.damage(&engine.stat("b", "k").unwrap().extents, 5);
    let mut read = engine.read(&CALLER, "b", "k").unwrap();
    remove(&engine, "k").unwrap();
    store(&engine, "k", &bytes(10_000, 2)).unwrap();
    assert_eq!(read.next_piece(), Err(ReadError::Corrupt));
    assert!(engine.stat("b", "k").is_some());
}

#[test]
fn a_read_that_is_given_up_holds_no_lease() {
    let place = Place::new();
    let engine = place.engine(1);
    store(&engine, "k", &bytes(1 << 20, 1)).unwrap();
    let mut read = engine.read(&CALLER, "b", "k").unwrap();
    read.next_piece().unwrap();
    assert_eq!(stats(&engine).leases_live, 1);
    drop(read);
    assert_eq!(stats(&engine).leases_live, 0);
}
