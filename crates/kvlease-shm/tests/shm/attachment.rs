//! What clients see.

use std::fs;

use kvlease_shm::{Attachment, Digest, OutOfBounds};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use crate::fixture::{CAPACITY, Fixture, extent, name, populate, write};

fn attach(fixture: &Fixture) -> Attachment {
    Attachment::open(&fixture.options().dir, &name()).unwrap()
}

#[test]
fn a_client_reads_what_the_daemon_writes_in_the_order_of_the_extents() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    populate(&arena);
    let client = attach(&fixture);
    assert_eq!((client.capacity(), client.identity()), (CAPACITY, arena.identity()));
    let object = Draws::seeded(2).bytes(300_000);
    let (first, second) = object.split_at(200_000);
    write(&arena, 4 << 20, first);
    write(&arena, 4096, second);
    let extents = [extent(4 << 20, 200_000), extent(4096, 100_000)];
    let mut copied = vec![0; object.len()];
    client.copy_out(&extents, &mut copied).unwrap();
    assert!(copied == object);
    let mut copied = vec![0; object.len()];
    assert_eq!(client.copy_out_digested(&extents, &mut copied).unwrap(), Digest::of(&object));
    assert!(copied == object);
}

#[test]
fn extents_of_the_daemon_are_checked_before_anything_is_copied() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    populate(&arena);
    write(&arena, 0, &[7; 64]);
    let client = attach(&fixture);
    let end = CAPACITY.bytes();
    let mut into = [1; 64];
    for outside in [extent(end, 64), extent(end - 63, 64), extent(u64::MAX, 64), extent(0, end + 1)]
    {
        let error = client.copy_out(&[extent(0, 0), outside], &mut into).unwrap_err();
        assert_eq!(error, OutOfBounds::Segment { extent: outside, segment: CAPACITY });
    }
    for extents in [&[extent(0, 63)][..], &[extent(0, 64), extent(0, 1)], &[]] {
        let error = client.copy_out(extents, &mut into).unwrap_err();
        let OutOfBounds::Buffer { buffer, .. } = error else { panic!("{error}") };
        assert_eq!(buffer, ByteSize::new(64));
    }
    assert_eq!(into, [1; 64], "nothing was copied");
}

#[test]
fn a_client_knows_when_its_name_means_another_segment() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let client = attach(&fixture);
    assert!(client.is_current() && !client.is_replaced());
    fixture.remove_public();
    assert!(!client.is_current() && !client.is_replaced());
    arena.keep_linked().unwrap();
    assert!(client.is_current());
    drop(arena);
    fs::remove_file(fixture.private("arena")).unwrap();
    fixture.remove_public();
    let _replacement = fixture.open();
    assert!(!client.is_current() && client.is_replaced());
    let mut bytes = [1; 16];
    client.copy_out(&[extent(0, 16)], &mut bytes).unwrap();
    assert_eq!(bytes, [0; 16], "the old bytes stay readable");
}

#[test]
fn an_empty_or_missing_segment_cannot_be_attached() {
    let fixture = Fixture::new();
    let open = || Attachment::open(&fixture.options().dir, &name()).unwrap_err().kind();
    assert_eq!(open(), std::io::ErrorKind::NotFound);
    fs::write(fixture.public(), b"").unwrap();
    assert_eq!(open(), std::io::ErrorKind::InvalidData);
    fixture.remove_public();
    fs::create_dir(fixture.public()).unwrap();
    assert_eq!(open(), std::io::ErrorKind::InvalidData);
}
