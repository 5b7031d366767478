//! Attachments of clients.

use std::fs;

use kvlease_attach::{Attachment, OutOfBounds, TrustedUsers};
use kvlease_sys::Digest;
use kvlease_testing::Draws;
use kvlease_types::ByteSize;

use crate::fixture::{CAPACITY, Fixture, extent, name, write};

#[test]
fn a_client_reads_what_the_daemon_writes_in_the_order_of_the_extents() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let client = fixture.attach();
    assert_eq!(client.capacity(), CAPACITY);
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
    write(&arena, 0, &[7; 64]);
    let client = fixture.attach();
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
    let client = fixture.attach();
    assert!(client.is_current() && !client.is_replaced());
    fixture.remove_public();
    assert!(!client.is_current() && !client.is_replaced());
    arena.keep_linked().unwrap();
    assert!(client.is_current());
    drop(arena);
    fixture.remove_names();
    let _replacement = fixture.open();
    assert!(!client.is_current() && client.is_replaced());
    let mut bytes = [1; 16];
    client.copy_out(&[extent(0, 16)], &mut bytes).unwrap();
    assert_eq!(bytes, [0; 16], "the old bytes stay readable");
}

#[test]
fn an_empty_or_missing_segment_cannot_be_attached() {
    let fixture = Fixture::new();
    let open =
        || Attachment::open(fixture.dir(), &name(), TrustedUsers::default()).unwrap_err().kind();
    assert_eq!(open(), std::io::ErrorKind::NotFound);
    fs::write(fixture.public(), b"").unwrap();
    assert_eq!(open(), std::io::ErrorKind::InvalidData);
    fixture.remove_public();
    fs::create_dir(fixture.public()).unwrap();
    assert_eq!(open(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_segment_of_another_user_is_attached_only_if_that_user_is_configured() {
    let fixture = Fixture::new();
    let _arena = fixture.open();
    let usual = TrustedUsers::default();
    // A process that is not root cannot give a file away: it takes itself for another user.
    let (owner, trusted) = match usual.client_uid {
        0 => (4_242, usual),
        own => (own, TrustedUsers { client_uid: own + 1, daemon_uid: None }),
    };
    std::os::unix::fs::chown(fixture.public(), Some(owner), None).unwrap();
    let error = Attachment::open(fixture.dir(), &name(), trusted).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let text = error.to_string();
    for part in ["kvlease_daemon_uid", &format!("uid=`{owner}`"), "/shared_memory`"] {
        assert!(text.contains(part), "{text}");
    }
    let configured = TrustedUsers { daemon_uid: Some(owner), ..trusted };
    assert!(Attachment::open(fixture.dir(), &name(), configured).is_ok());
}

#[test]
fn extents_in_place_show_what_the_daemon_writes_and_outlive_the_attachment() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    let client = fixture.attach();
    let end = CAPACITY.bytes();
    for outside in [extent(end, 1), extent(end - 1, 2), extent(u64::MAX, 1)] {
        let error = client.in_place(&[extent(0, 1), outside]).unwrap_err();
        assert_eq!(error, OutOfBounds::Segment { extent: outside, segment: CAPACITY });
    }
    let start = client.locate(extent(4096, 8)).unwrap();
    let places = client.in_place(&[extent(4096, 8), extent(0, 0)]).unwrap();
    let parts: Vec<_> = places.iter().map(|place| place.raw_parts()).collect();
    assert_eq!((parts[0], parts[1].1), ((start, 8), 0));
    drop((arena, client));
    // The mapping is there for as long as the places are.
    let maps = || fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = fixture.public().display().to_string();
    assert!(maps().contains(&mapped));
    drop(places);
    assert!(!maps().contains(&mapped));
}
