//! The arena as a descriptor: for readers, and for writers.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    os::unix::fs::FileExt,
};

use kvlease_attach::{Attachment, OutOfBounds, WritableAttachment};
use kvlease_sys::Digest;
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use crate::fixture::{CAPACITY, Fixture, extent, write};

#[test]
fn a_shared_descriptor_reads_and_one_for_readers_does_no_more() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let bytes = Draws::seeded(7).bytes(100_000);
    write(&arena, 4096, &bytes);
    let shared = arena.share(false).unwrap();
    let mut file = File::from(shared.try_clone().unwrap());
    assert!(file.write_all(&[1]).is_err() && file.set_len(0).is_err());
    let refused = WritableAttachment::from_descriptor(shared.try_clone().unwrap(), CAPACITY);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let client = Attachment::from_descriptor(shared, CAPACITY).unwrap();
    assert_eq!(client.capacity(), CAPACITY);
    let mut copied = vec![0; bytes.len()];
    client.copy_out(&[extent(4096, 100_000)], &mut copied).unwrap();
    assert!(copied == bytes);
}

#[test]
fn an_arena_that_came_as_a_descriptor_is_current_whatever_happens_to_the_name() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let client = Attachment::from_descriptor(arena.share(false).unwrap(), CAPACITY).unwrap();
    assert!(client.is_current() && !client.is_replaced());
    fixture.remove_public();
    assert!(client.is_current() && !client.is_replaced());
    std::fs::write(fixture.public(), b"another").unwrap();
    assert!(client.is_current() && !client.is_replaced());
}

#[test]
fn a_descriptor_of_a_file_that_is_too_short_is_refused() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    for capacity in [ByteSize::ZERO, ByteSize::new(CAPACITY.bytes() + 1), ByteSize::new(u64::MAX)] {
        let error = Attachment::from_descriptor(arena.share(false).unwrap(), capacity).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        let error = WritableAttachment::from_descriptor(arena.share(true).unwrap(), capacity);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidData);
    }
    let (pipe, _end) = std::io::pipe().unwrap();
    let error = Attachment::from_descriptor(pipe.into(), CAPACITY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let part = ByteSize::mib(1);
    let client = Attachment::from_descriptor(arena.share(false).unwrap(), part).unwrap();
    assert_eq!(client.capacity(), part);
    assert!(client.measure(&[extent(1 << 20, 1)]).is_err(), "only the announced length is mapped");
}

#[test]
fn parts_that_a_writer_writes_in_any_order_make_the_object() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let writer = WritableAttachment::from_descriptor(arena.share(true).unwrap(), CAPACITY).unwrap();
    let mut draws = Draws::seeded(11);
    let extents =
        [extent(4 << 20, 200_000), extent(4096, 7), extent(1 << 20, 0), extent(65_536, 99_993)];
    let object = draws.bytes(300_000);
    writer.prefault(&extents).unwrap();
    let mut parts: Vec<_> = (0..object.len()).step_by(33_333).collect();
    while !parts.is_empty() {
        let from = parts.swap_remove(draws.index(parts.len()));
        let part = &object[from..object.len().min(from + 33_333)];
        let mut digest = Digest::new();
        let summed = draws.one_in(2);
        writer.write_part(&extents, from as u64, part, summed.then_some(&mut digest)).unwrap();
        assert_eq!(digest.finish(), Digest::of(if summed { part } else { &[] }));
    }
    let mut stored = Vec::new();
    for extent in extents {
        let mut part = vec![0; extent.len.bytes() as usize];
        arena.read(extent, &mut part, None);
        stored.extend(part);
    }
    assert!(stored == object);
    let mut copied = vec![0; object.len()];
    writer.reader().copy_out(&extents, &mut copied).unwrap();
    assert!(copied == object);
}

#[test]
fn what_would_land_outside_is_refused_before_a_byte_is_written() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let writer = WritableAttachment::from_descriptor(arena.share(true).unwrap(), CAPACITY).unwrap();
    let end = CAPACITY.bytes();
    for outside in [extent(end, 64), extent(end - 63, 64), extent(u64::MAX, 64), extent(0, end + 1)]
    {
        let error = writer.write_part(&[extent(0, 64), outside], 0, &[7; 65], None).unwrap_err();
        assert_eq!(error, OutOfBounds::Segment { extent: outside, segment: CAPACITY });
        assert_eq!(writer.prefault(&[extent(0, 64), outside]).unwrap_err(), error);
    }
    for (from, len) in [(0, 65), (1, 64), (64, 1), (u64::MAX, 1), (65, 0)] {
        let error = writer.write_part(&[extent(0, 64)], from, &vec![7; len], None).unwrap_err();
        assert!(matches!(error, OutOfBounds::Buffer { .. }), "{error}");
    }
    writer.write_part(&[extent(0, 64)], 64, &[], None).unwrap();
    let file = File::open(fixture.public()).unwrap();
    let mut there = [1; 4096];
    file.read_exact_at(&mut there, 0).unwrap();
    assert_eq!(there, [0; 4096]);
}
