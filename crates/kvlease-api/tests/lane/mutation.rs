//! Bytes that lie: whatever they are, either end reads them to the end or says why not.

use kvlease_api::lane::{
    ANSWER_LEN_MAX, Answer, FRAME_LEN_MAX, Frame, Kind, LeaseRecord, Request, ReservationRecord,
};
use kvlease_testing::{Draws, rounds};

use crate::samples::sample;

const ROUNDS: usize = 60_000;

/// Fate of the frames.
#[derive(Default, Debug)]
struct Seen {
    accepted: usize,
    refused: usize,
    unframed: usize,
    items: usize,
}

impl Seen {
    /// Reads all frames that the bytes hold, and every item of those that are accepted.
    fn read(&mut self, mut bytes: &[u8], len_max: usize, read: fn(&Frame<'_>) -> Option<usize>) {
        loop {
            match Frame::split(bytes, len_max) {
                Ok(Some((frame, len))) => {
                    assert!(frame.payload.len() <= len_max);
                    match read(&frame) {
                        Some(items) => {
                            // Every item takes at least a byte: no count is believed.
                            assert!(items <= frame.payload.len(), "{frame:?}");
                            self.accepted += 1;
                            self.items += items;
                        }
                        None => self.refused += 1,
                    }
                    bytes = &bytes[len..];
                }
                Ok(None) => return,
                Err(_) => {
                    self.unframed += 1;
                    return;
                }
            }
        }
    }
}

/// How many items the request names, having read each of them.
fn request(frame: &Frame<'_>) -> Option<usize> {
    Some(match Request::decode(frame).ok()? {
        Request::Hello(_) => 1,
        Request::Acquire(acquire) => acquire.keys.map(|key| assert!(!key.is_empty())).count(),
        Request::Exists(lookup) | Request::Remove(lookup) => {
            lookup.keys.map(|key| assert!(!key.is_empty())).count()
        }
        Request::Release { ids, .. } | Request::Renew { ids, .. } | Request::Abort { ids, .. } => {
            ids.map(std::hint::black_box).count()
        }
        Request::Reserve(reserve) => {
            reserve.objects.map(|object| assert!(!object.key.is_empty())).count()
        }
        Request::Store(store) => {
            store.objects.map(|object| assert!(!object.key.is_empty())).count()
        }
        Request::Prepare(lengths) => lengths.map(std::hint::black_box).count(),
        Request::Index => 0,
        Request::Used(used) => used.objects.map(std::hint::black_box).count(),
        Request::Commit(commits) => commits.map(std::hint::black_box).count(),
    })
}

/// How many items the answer has, having read each of them and all extents.
fn answer(frame: &Frame<'_>) -> Option<usize> {
    Some(match Answer::decode(frame).ok()? {
        Answer::Welcome(_) | Answer::Indexed(_) => 1,
        Answer::Leases(leases) => leases
            .map(|record| match record {
                LeaseRecord::Granted(grant, extents) => {
                    let sum: u64 = extents.iter().map(|extent| extent.len.bytes()).sum();
                    assert_eq!(sum, grant.len.bytes());
                    1 + extents.count()
                }
                LeaseRecord::Refused(_) => 1,
            })
            .sum(),
        Answer::Done(statuses) | Answer::Renewed { statuses, .. } => statuses.count(),
        Answer::Reservations(records) => records
            .map(|record| match record {
                ReservationRecord::Granted { extents, .. } => {
                    assert!(extents.iter().all(|extent| extent.end().is_some()));
                    1 + extents.count()
                }
                ReservationRecord::Refused(_) => 1,
            })
            .sum(),
        Answer::Error(failure) => failure.text.chars().count().min(1),
    })
}

/// Changes the bytes in one of the ways in which a sender may be wrong.
fn mutate(draws: &mut Draws, bytes: &mut Vec<u8>) {
    const TELLING: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    let at = draws.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
    match draws.index(8) {
        _ if bytes.is_empty() => bytes.push(draws.next() as u8),
        0 => bytes[at] ^= 1 << draws.index(8),
        1 => bytes[at] = TELLING[draws.index(TELLING.len())],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, draws.next() as u8),
        4 => {
            bytes.remove(at);
        }
        5 => {
            let end = (at + 1 + draws.index(8)).min(bytes.len());
            let filling = TELLING[draws.index(TELLING.len())];
            bytes[at..end].fill(filling);
        }
        6 => {
            let end = (at + 1 + draws.index(64)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let other = sample(Kind::ALL[draws.index(Kind::ALL.len())]);
            let from = draws.index(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
    }
}

/// Makes the header announce what is there, so that the payload is looked at.
fn mend_length(bytes: &mut [u8]) {
    if let Some(len) = bytes.len().checked_sub(16) {
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    }
}

#[test]
fn mutated_frames_are_read_to_the_end_or_refused_by_both_ends() {
    let mut draws = Draws::seeded(0x1a4e);
    let (mut daemon, mut client) = (Seen::default(), Seen::default());
    for _ in 0..rounds(ROUNDS) {
        let mut bytes = sample(Kind::ALL[draws.index(Kind::ALL.len())]);
        for _ in 0..=draws.index(3) {
            mutate(&mut draws, &mut bytes);
        }
        if draws.index(4) != 0 {
            mend_length(&mut bytes);
        }
        daemon.read(&bytes, FRAME_LEN_MAX, request);
        client.read(&bytes, ANSWER_LEN_MAX, answer);
    }
    println!("daemon: {daemon:?}\nclient: {client:?}");
    for seen in [daemon, client] {
        assert!(seen.accepted > 0 && seen.refused > 0 && seen.unframed > 0 && seen.items > 0);
    }
}

#[test]
fn noise_is_read_to_the_end_or_refused_by_both_ends() {
    let mut draws = Draws::seeded(0x1a4e);
    let (mut daemon, mut client) = (Seen::default(), Seen::default());
    for _ in 0..rounds(ROUNDS) {
        let len = draws.index(200);
        let mut bytes: Vec<_> = (0..len).map(|_| draws.next() as u8).collect();
        mend_length(&mut bytes);
        if let Some(kind_and_flags) = bytes.get_mut(4..8) {
            let number: u32 = Kind::ALL[draws.index(Kind::ALL.len())].number().into();
            kind_and_flags.copy_from_slice(&number.to_le_bytes());
        }
        daemon.read(&bytes, FRAME_LEN_MAX, request);
        client.read(&bytes, ANSWER_LEN_MAX, answer);
    }
    println!("daemon: {daemon:?}\nclient: {client:?}");
    assert!(daemon.refused > 0 && client.refused > 0);
}
