//! One object copied by several threads, and the buffers that they share.

use std::{sync::Arc, thread};

use kvlease_attach::{Attachment, COPY_PIECE_LEN, ObjectCopy, OutOfBounds};
use kvlease_sys::{Digest, ExternalBuffer};
use kvlease_testing::Draws;
use kvlease_types::Extent;

use crate::fixture::{CAPACITY, Fixture, extent, write};

/// Rounds of the random test.
const ROUNDS: usize = 60;
const OBJECT_LEN_MAX: usize = 7 * COPY_PIECE_LEN;

/// An object in three extents, out of order in the segment.
fn stored(fixture: &Fixture, object: &[u8]) -> (Arc<Attachment>, Vec<Extent>) {
    let arena = fixture.open();
    let (first, rest) = object.split_at(object.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let mut extents = Vec::new();
    for (part, at) in [(first, 4 << 20), (second, 0), (third, 2 << 20)] {
        write(&arena, at, part);
        extents.push(extent(at, part.len() as u64));
    }
    (Arc::new(fixture.attach()), extents)
}

/// Copies with some threads; what came, and the checksum.
fn copied(copy: &ObjectCopy, threads: usize) -> (ExternalBuffer, Option<kvlease_types::Checksum>) {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| copy.work())).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    let [outcome]: [_; 1] = outcomes.try_into().expect("the outcome goes to one thread");
    assert!(copy.work().is_none(), "a copy that has ended gives nothing to late workers");
    (outcome.buffer, outcome.checksum)
}

#[test]
fn every_part_of_every_object_arrives_with_the_checksum_of_the_whole() {
    let mut draws = Draws::seeded(7);
    for round in 0..ROUNDS {
        let len = match round {
            0 => 0,
            1 => COPY_PIECE_LEN,
            _ => draws.index(OBJECT_LEN_MAX),
        };
        let object = draws.bytes(len);
        let fixture = Fixture::new();
        let (attachment, extents) = stored(&fixture, &object);
        let head = draws.index(len.min(5_000) + 1);
        // Some buffers end before the object does.
        let end = if round % 3 == 0 { head + draws.index(len - head + 1) } else { len };
        let (buffer, vector) = ExternalBuffer::of_vec(vec![0; end - head]);
        let summed = round % 4 != 3;
        let mut digest = Digest::new();
        digest.update(&object[..head]);
        let digest = summed.then_some(Box::new(digest));
        let copy = ObjectCopy::new(attachment, extents, head as u64, buffer, digest).unwrap();
        let pieces = if summed { 1 } else { (end - head).div_ceil(COPY_PIECE_LEN).max(1) };
        assert_eq!(copy.pieces(), pieces);
        let (buffer, checksum) = copied(&copy, 1 + round % 4);
        assert_eq!(buffer.len(), end - head);
        assert_eq!(checksum, summed.then(|| Digest::of(&object)), "len={len} head={head}");
        drop(buffer);
        let arrived = vector.take_back().expect("the copy keeps no part of the buffer");
        assert!(arrived == object[head..end], "len={len} head={head} end={end}");
    }
}

#[test]
fn a_copy_that_cannot_be_done_is_refused_before_it_begins() {
    let fixture = Fixture::new();
    let (attachment, _) = stored(&fixture, &[]);
    let end = CAPACITY.bytes();
    let copy = |extents: &[Extent], from, len| {
        let (buffer, _) = ExternalBuffer::of_vec(vec![0; len]);
        ObjectCopy::new(Arc::clone(&attachment), extents.to_vec(), from, buffer, None).unwrap_err()
    };
    for outside in [extent(end, 1), extent(u64::MAX, 9), extent(1, end)] {
        let error = copy(&[extent(0, 9), outside], 0, 9);
        assert!(matches!(error, OutOfBounds::Segment { .. }), "{error}");
    }
    for (from, len) in [(0, 11), (10, 1), (11, 0), (u64::MAX, 2)] {
        let error = copy(&[extent(0, 4), extent(100, 6)], from, len);
        assert!(matches!(error, OutOfBounds::Buffer { .. }), "{from}+{len}: {error}");
    }
    let error = copy(&[extent(0, end), extent(0, end)], 0, 1);
    assert!(matches!(error, OutOfBounds::Buffer { .. }), "{error}");
}

#[test]
fn what_follows_the_first_bytes_is_summed_where_it_is() {
    let fixture = Fixture::new();
    let object = Draws::seeded(8).bytes(100_000);
    let (attachment, extents) = stored(&fixture, &object);
    for from in [0, 1, 33_333, 33_334, 99_999, 100_000] {
        let mut digest = Digest::new();
        digest.update(&object[..from]);
        attachment.digest_rest(&extents, from as u64, &mut digest).unwrap();
        assert_eq!(digest.finish(), Digest::of(&object), "from={from}");
    }
    assert!(attachment.digest_rest(&extents, 100_001, &mut Digest::new()).is_err());
}

#[test]
fn parts_of_any_cut_are_filled_in_their_order() {
    let mut draws = Draws::seeded(9);
    for round in 0..ROUNDS {
        let len = draws.index(OBJECT_LEN_MAX);
        let object = draws.bytes(len);
        let fixture = Fixture::new();
        let (attachment, extents) = stored(&fixture, &object);
        let from = draws.index(object.len().min(5_000) + 1);
        let mut arrived = vec![0; object.len() - from];
        // Some parts are long enough to go around the caches, and some are empty.
        let part_max = [3, 100, 5_000, 300_000][round % 4];
        let mut parts = Vec::new();
        let mut rest = arrived.as_mut_slice();
        while !rest.is_empty() {
            let len = draws.index(rest.len().min(part_max) + 1);
            parts.push(rest.split_off_mut(..len).unwrap());
        }
        let mut digest = Digest::new();
        digest.update(&object[..from]);
        let end = attachment
            .copy_parts(&extents, from as u64, parts.into_iter(), Some(&mut digest))
            .unwrap();
        assert_eq!(end, object.len() as u64);
        assert_eq!(digest.finish(), Digest::of(&object), "len={len} from={from}");
        assert!(arrived == object[from..], "len={len} from={from}");
    }
    let fixture = Fixture::new();
    let (attachment, extents) = stored(&fixture, &[7; 10]);
    let (mut first, mut second) = ([0; 6], [0; 5]);
    let parts = [first.as_mut_slice(), second.as_mut_slice()].into_iter();
    assert!(attachment.copy_parts(&extents, 0, parts, None).is_err());
}
