//! Round trips: one end reads exactly the fields that the other end wrote.

use std::time::Duration;

use kvlease_api::lane::{
    Acquire, Answer, Commit, CommitWriter, DoneStatus, FRAME_LEN_MAX, Failure, FailureCode, Frame,
    HEADER_LEN, Hello, IdsWriter, KeysWriter, Kind, LeaseRecord, LeaseStatus, Lookup, Mode,
    Request, ReservationRecord, ReserveStatus, VERSION, write_failure,
};
use kvlease_testing::{Draws, rounds};
use kvlease_types::Checksum;

use crate::{
    golden::golden,
    samples::{
        COMMITS, INDEXED, KEYS, LENGTHS, READS, REQUEST, REQUESTED, SEQUENCES, STORED, TTL, USED,
        WELCOME, bucket, extent, grants,
    },
};

/// The one frame that these bytes are.
pub(crate) fn whole(bytes: &[u8]) -> Frame<'_> {
    let (frame, taken) = Frame::split(bytes, FRAME_LEN_MAX).unwrap().unwrap();
    assert_eq!(taken, bytes.len());
    assert_eq!(Frame::len_of(bytes), Some(taken));
    frame
}

fn is_lookup(lookup: Lookup<'_>) {
    assert_eq!((lookup.mode, lookup.bucket), (Mode::Each, "lmcache"));
    assert_eq!(lookup.keys.len(), KEYS.len());
    assert!(lookup.keys.eq(KEYS));
}

#[test]
fn the_daemon_reads_every_golden_request() {
    for kind in Kind::ALL.iter().filter(|kind| kind.number() < 128) {
        let bytes = golden(*kind);
        let frame = whole(&bytes);
        assert_eq!((frame.kind(), frame.request), (Some(*kind), REQUEST));
        match Request::decode(&frame).unwrap() {
            Request::Hello(hello) => {
                assert_eq!(hello, Hello { version: VERSION, writes: true });
            }
            Request::Acquire(Acquire { mode, wait, ttl, bucket, keys }) => {
                assert_eq!((mode, bucket), (Mode::Prefix, "lmcache"));
                assert_eq!((wait, ttl), (Duration::from_millis(250), Some(TTL)));
                assert!(keys.eq(KEYS));
            }
            Request::Release { ids, silent } => assert!(ids.eq(SEQUENCES) && silent),
            Request::Renew { ids, ttl } => assert!(ids.eq(SEQUENCES) && ttl.is_none()),
            Request::Exists(lookup) | Request::Remove(lookup) => is_lookup(lookup),
            Request::Reserve(reserve) => {
                assert_eq!(reserve.bucket, "lmcache");
                assert!(reserve.objects.eq(REQUESTED));
            }
            Request::Commit(commits) => assert!(commits.eq(COMMITS)),
            Request::Abort { ids, silent } => assert!(ids.eq([3]) && !silent),
            Request::Index => {}
            Request::Used(used) => {
                assert_eq!((used.reads, used.silent), (READS, true));
                assert!(used.objects.eq(USED));
            }
            Request::Prepare(lengths) => assert!(lengths.eq(LENGTHS)),
            Request::Store(store) => {
                assert_eq!(store.bucket, "lmcache");
                assert!(store.objects.eq(STORED));
            }
        }
        Answer::decode(&frame).unwrap_err();
    }
}

#[test]
fn a_client_reads_every_golden_answer() {
    for kind in Kind::ALL.iter().filter(|kind| kind.number() >= 128) {
        let bytes = golden(*kind);
        let frame = whole(&bytes);
        assert_eq!((frame.kind(), frame.request), (Some(*kind), REQUEST));
        match Answer::decode(&frame).unwrap() {
            Answer::Welcome(welcome) => assert_eq!(welcome, WELCOME),
            Answer::Leases(leases) => {
                assert_eq!((leases.ttl, leases.len()), (TTL, 4));
                let mut expected = grants().into_iter();
                for (index, record) in leases.enumerate() {
                    match record {
                        LeaseRecord::Granted(grant, extents) => {
                            let (expected, places) = expected.next().unwrap();
                            assert_eq!(grant, expected);
                            assert_eq!(extents.count(), places.len());
                            assert!(extents.iter().eq(places));
                        }
                        LeaseRecord::Refused(status) => {
                            assert_eq!((index, status), (1, LeaseStatus::Evicted));
                        }
                    }
                }
                assert!(expected.next().is_none());
            }
            Answer::Done(statuses) => assert!(statuses.eq(DoneStatus::ALL.iter().copied())),
            Answer::Renewed { ttl, statuses } => {
                assert_eq!(ttl, TTL);
                assert!(statuses.eq([DoneStatus::Done, DoneStatus::Unknown]));
            }
            Answer::Reservations(mut records) => {
                assert_eq!((records.ttl, records.len()), (TTL, 3));
                let places = [extent(8192, 4096), extent(0, 904)];
                let ReservationRecord::Granted { write: 1, extents } = records.next().unwrap()
                else {
                    panic!("the first is granted");
                };
                assert!(extents.iter().eq(places));
                let exists = ReservationRecord::Refused(ReserveStatus::Exists);
                assert_eq!(records.next(), Some(exists));
                let Some(ReservationRecord::Granted { write: 2, extents }) = records.next() else {
                    panic!("the last is granted");
                };
                assert_eq!(extents.count(), 0);
            }
            Answer::Indexed(indexed) => assert_eq!(indexed, INDEXED),
            Answer::Error(failure) => {
                let text = "the payload is too short";
                assert_eq!(failure, Failure { code: FailureCode::Malformed, text });
            }
        }
        Request::decode(&frame).unwrap_err();
    }
}

#[test]
fn lists_of_any_length_arrive_as_they_were_sent() {
    let mut draws = Draws::seeded(0x1a4e);
    for round in 0..rounds(300) {
        let count = draws.index(if round % 10 == 0 { 4_097 } else { 20 });
        let keys: Vec<_> = (0..count).map(|_| key(&mut draws)).collect();
        let numbers: Vec<_> = (0..count).map(|_| draws.next()).collect();
        let mut bytes = Vec::new();
        let wait = Duration::from_millis(draws.next() & 0xffff);
        let mut frame = KeysWriter::acquire(&mut bytes, 1, &bucket(), Mode::Each, wait, None);
        let taken = keys.iter().take_while(|key| frame.push(key).is_ok()).count();
        assert_eq!(frame.finish(), taken);
        let acquired = bytes.len();
        let mut frame = IdsWriter::release(&mut bytes, 2, false);
        numbers.iter().for_each(|number| frame.push(*number).unwrap());
        frame.finish();
        let mut frame = CommitWriter::begin(&mut bytes, 3);
        let commit = |number: &u64| Commit { write: *number, checksum: Checksum::new(!*number) };
        numbers.iter().for_each(|number| frame.push(commit(number)).unwrap());
        frame.finish();

        let (frame, len) = Frame::split(&bytes, FRAME_LEN_MAX).unwrap().unwrap();
        assert_eq!(len, acquired);
        let Request::Acquire(acquire) = Request::decode(&frame).unwrap() else {
            panic!("an acquire");
        };
        assert_eq!((acquire.wait, acquire.ttl), (wait, None));
        assert!(acquire.keys.eq(&keys[..taken]));
        let rest = &bytes[len..];
        let (frame, len) = Frame::split(rest, FRAME_LEN_MAX).unwrap().unwrap();
        let Request::Release { ids, silent: false } = Request::decode(&frame).unwrap() else {
            panic!("a release");
        };
        assert!(ids.eq(numbers.iter().copied()));
        let Request::Commit(commits) = Request::decode(&whole(&rest[len..])).unwrap() else {
            panic!("a commit");
        };
        assert!(commits.eq(numbers.iter().map(commit)));
    }
}

#[test]
fn a_frame_is_split_off_only_once_it_is_whole() {
    for kind in Kind::ALL {
        let bytes = golden(*kind);
        for len in 0..bytes.len() {
            assert_eq!(Frame::split(&bytes[..len], FRAME_LEN_MAX), Ok(None), "{}", kind.name());
            assert_eq!(Frame::len_of(&bytes[..len]).is_some(), len >= HEADER_LEN);
        }
    }
}

#[test]
fn a_text_that_is_too_long_for_an_error_is_cut_between_characters() {
    let mut bytes = Vec::new();
    let text = "ü".repeat(40_000);
    let failure = Failure { code: FailureCode::Unavailable, text: &text };
    write_failure(&mut bytes, 1, &failure);
    let Answer::Error(read) = Answer::decode(&whole(&bytes)).unwrap() else {
        panic!("an error");
    };
    assert_eq!(read.text, &text[..65_534]);
}

/// A key: mostly letters, sometimes not of one byte each.
fn key(draws: &mut Draws) -> String {
    let len = 1 + draws.index(90);
    let letters = ['a', 'Z', '0', '@', '/', '-', 'ü', '日', '\0', ' '];
    (0..len).map(|_| letters[draws.index(letters.len())]).collect()
}
