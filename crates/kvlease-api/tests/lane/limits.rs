//! Frames keep within their limits, and what does not is refused with its reason.

use kvlease_api::lane::{
    Answer, EXTENTS_MAX, FRAME_LEN_MAX, Frame, FrameTooLong, Full, IdsWriter, KEYS_MAX, KeysWriter,
    Kind, LeaseGrant, LeasesWriter, Malformed, Mode, Request, Unfit,
};
use kvlease_types::{ByteSize, Checksum, KEY_LEN_MAX, NameError};

use crate::{
    golden::golden,
    samples::{TTL, bucket, extent},
};

const HEADER: usize = 16;

/// A golden frame, changed.
fn changed(kind: Kind, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = golden(kind);
    change(&mut bytes);
    let len = (bytes.len() - HEADER) as u32;
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes
}

fn request(kind: Kind, change: impl FnOnce(&mut Vec<u8>)) -> Malformed {
    let bytes = changed(kind, change);
    let (frame, _) = Frame::split(&bytes, FRAME_LEN_MAX).unwrap().unwrap();
    Request::decode(&frame).unwrap_err()
}

fn answer(kind: Kind, change: impl FnOnce(&mut Vec<u8>)) -> Malformed {
    let bytes = changed(kind, change);
    let (frame, _) = Frame::split(&bytes, FRAME_LEN_MAX).unwrap().unwrap();
    Answer::decode(&frame).unwrap_err()
}

#[test]
fn a_length_that_nobody_may_send_is_refused_before_the_payload_came() {
    let mut header = golden(Kind::Acquire)[..HEADER].to_vec();
    header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let refused = Frame::split(&header, FRAME_LEN_MAX).unwrap_err();
    let request = 0x0102_0304_0506_0708;
    assert_eq!(refused, FrameTooLong { len: u32::MAX, max: FRAME_LEN_MAX, request });
    assert!(refused.to_string().contains("max=`1048576`"), "{refused}");
}

#[test]
fn a_frame_takes_items_until_it_is_full_and_no_more() {
    let mut bytes = Vec::new();
    let mut frame = IdsWriter::release(&mut bytes, 1, false);
    for id in 0..KEYS_MAX as u64 {
        frame.push(id).unwrap();
    }
    assert_eq!(frame.push(0), Err(Full));
    assert_eq!(frame.finish(), KEYS_MAX);

    let mut bytes = Vec::new();
    let longest = "k".repeat(KEY_LEN_MAX);
    let mut frame = KeysWriter::exists(&mut bytes, 1, &bucket(), Mode::Each);
    let mut taken = 0;
    let refused = loop {
        match frame.push(&longest) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, taken), (Unfit::Full, 511));
    assert_eq!(frame.finish(), taken);
    assert!(bytes.len() <= HEADER + FRAME_LEN_MAX);
    let (frame, _) = Frame::split(&bytes, FRAME_LEN_MAX).unwrap().unwrap();
    Request::decode(&frame).unwrap();
}

#[test]
fn names_are_held_to_the_rules_of_http() {
    let mut bytes = Vec::new();
    let mut frame = KeysWriter::exists(&mut bytes, 1, &bucket(), Mode::Each);
    assert_eq!(frame.push(""), Err(Unfit::Name(NameError::KeyEmpty)));
    let len = KEY_LEN_MAX + 1;
    assert_eq!(frame.push(&"k".repeat(len)), Err(Unfit::Name(NameError::KeyTooLong { len })));
    assert_eq!(frame.finish(), 0);
    let no_key = request(Kind::Exists, |bytes| {
        let at = bytes.len() - 3;
        bytes.truncate(at);
        bytes.extend([0, 0]);
    });
    assert_eq!(no_key, Malformed::Name(NameError::KeyEmpty));
    let no_bucket = request(Kind::Exists, |bytes| {
        bytes.splice(HEADER + 8..HEADER + 17, [0, 0]);
    });
    assert_eq!(no_bucket, Malformed::Name(NameError::BucketEmpty));
    let no_text = request(Kind::Exists, |bytes| *bytes.last_mut().unwrap() = 0xff);
    assert_eq!(no_text, Malformed::Text);
}

#[test]
fn payloads_that_are_not_what_they_say_are_refused_with_the_reason() {
    let cases = [
        (request(Kind::Acquire, |b| b.truncate(HEADER + 3)), Malformed::Truncated),
        (request(Kind::Acquire, |b| b[HEADER] = 2), Malformed::Mode { mode: 2 }),
        (request(Kind::Remove, |b| b[HEADER] = 1), Malformed::Mode { mode: 1 }),
        (request(Kind::Acquire, |b| b[HEADER + 1] = 1), Malformed::Reserved),
        (request(Kind::Acquire, |b| b.push(0)), Malformed::TooLong { left: 1 }),
        (request(Kind::Acquire, |b| b[HEADER + 12] = 4), Malformed::Truncated),
        (request(Kind::Acquire, |b| b[6] = 1), Malformed::Flags { flags: 1 }),
        (request(Kind::Release, |b| b[6] = 3), Malformed::Flags { flags: 3 }),
        (
            request(Kind::Release, |b| b[HEADER..HEADER + 4].fill(0xff)),
            Malformed::Count { count: u32::MAX },
        ),
        (request(Kind::Release, |b| b[HEADER] = 1), Malformed::TooLong { left: 8 }),
        (request(Kind::Release, |b| b[HEADER] = 3), Malformed::Truncated),
        (request(Kind::Release, |b| b[4] = 99), Malformed::Kind { kind: 99 }),
        (request(Kind::Index, |b| b.push(0)), Malformed::TooLong { left: 1 }),
        (request(Kind::Used, |b| b[HEADER + 20] = 1), Malformed::Reserved),
        (request(Kind::Prepare, |b| b[HEADER + 4] = 1), Malformed::Reserved),
        (request(Kind::Prepare, |b| b.truncate(b.len() - 1)), Malformed::Truncated),
        (request(Kind::Store, |b| b[HEADER + 4] = 1), Malformed::Reserved),
        (request(Kind::Store, |b| b[6] = 1), Malformed::Flags { flags: 1 }),
        (request(Kind::Store, |b| b.push(0)), Malformed::TooLong { left: 1 }),
        (answer(Kind::Indexed, |b| b[HEADER + 24] = 1), Malformed::Reserved),
        (request(Kind::Hello, |b| b[HEADER] = b'X'), Malformed::Magic),
        (request(Kind::Hello, |b| b.truncate(HEADER)), Malformed::Magic),
        (request(Kind::Hello, |b| b[HEADER + 10] = 2), Malformed::Flags { flags: 2 }),
        (answer(Kind::Welcome, |b| b[HEADER] = 2), Malformed::Version { version: 2 }),
        (answer(Kind::Done, |b| b[HEADER + 8] = 200), Malformed::Status { status: 200 }),
        (answer(Kind::Leases, |b| b[HEADER + 8] = 200), Malformed::Status { status: 200 }),
        (answer(Kind::Error, |b| b[HEADER] = 99), Malformed::Status { status: 99 }),
        // The first record of the leases: fewer extents than it says, too many, another length,
        // one that is empty, one beyond 64 bits.
        (answer(Kind::Leases, |b| b[HEADER + 10] = 4), Malformed::Truncated),
        (answer(Kind::Leases, |b| b[HEADER + 10] = 64), Malformed::Extents),
        (answer(Kind::Leases, |b| b[HEADER + 40] += 1), Malformed::Extents),
        (answer(Kind::Leases, |b| b[HEADER + 56..HEADER + 64].fill(0)), Malformed::Extents),
        (answer(Kind::Leases, |b| b[HEADER + 48..HEADER + 56].fill(0xff)), Malformed::Extents),
        (answer(Kind::Leases, |b| b[HEADER + 8 + 57] = 1), Malformed::Reserved),
    ];
    for (number, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, expected, "case {number}");
    }
}

#[test]
fn a_hello_of_a_later_version_is_understood_as_far_as_its_number() {
    let bytes = changed(Kind::Hello, |bytes| {
        bytes[HEADER + 8] = 9;
        bytes.extend([1; 40]);
    });
    let (frame, _) = Frame::split(&bytes, FRAME_LEN_MAX).unwrap().unwrap();
    let Request::Hello(hello) = Request::decode(&frame).unwrap() else { panic!("a hello") };
    assert_eq!(hello.version, 9);
}

#[test]
fn the_longest_answer_fits_a_frame_of_the_daemon() {
    let mut frame = LeasesWriter::begin(Vec::new(), 1);
    let extents = vec![extent(0, 4096); EXTENTS_MAX];
    let grant = LeaseGrant {
        slot: 1,
        sequence: 2,
        generation: 3,
        checksum: Checksum::new(4),
        len: ByteSize::new(4096 * EXTENTS_MAX as u64),
    };
    (0..KEYS_MAX).for_each(|_| frame.granted(&grant, &extents));
    let bytes = frame.finish(TTL);
    let len_max = kvlease_api::lane::ANSWER_LEN_MAX;
    let (frame, _) = Frame::split(&bytes, len_max).unwrap().unwrap();
    let Answer::Leases(leases) = Answer::decode(&frame).unwrap() else { panic!("leases") };
    assert_eq!(leases.len(), KEYS_MAX);
}
