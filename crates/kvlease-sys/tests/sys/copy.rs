//! Every engine against the plain loop, at every alignment.

#![expect(unsafe_code, reason = "the copy engines take pointers")]

use std::{
    os::fd::AsFd,
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use kvlease_sys::{
    Access, Digest, Mapping,
    copy::{Engine, ReadAhead, STREAM_MIN, copy_from_shared, copy_to_shared, digest_shared},
};
use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Extent, Offset};

/// Long enough for several blocks of the checksum, and for both ways to store.
const LONG: usize = STREAM_MIN / 4 * 5;
const GUARD: u8 = 0xa5;
const MARGIN: usize = 256;
/// Rounds of each test; an interpreter that checks every access gets fewer.
const SHIFTS: usize = if cfg!(miri) { 1 } else { 128 };
const ROUNDS: usize = if cfg!(miri) { 4 } else { 8 * TARGETS };
/// Alignments of a target.
const TARGETS: usize = 64;
const RACES: usize = 5_000;

/// Copies into the middle of guarded memory and compares all of it.
fn check(source: &[u8], from: usize, to: usize, len: usize, copy: impl FnOnce(*const u8, *mut u8)) {
    let mut target = vec![GUARD; to + len + MARGIN];
    copy(source[from..from + len].as_ptr(), target[to..to + len].as_mut_ptr());
    assert!(target[to..to + len] == source[from..from + len], "from={from} to={to} len={len}");
    let outside = target[..to].iter().chain(&target[to + len..]);
    assert!(outside.into_iter().all(|byte| *byte == GUARD), "from={from} to={to} len={len}");
}

#[test]
fn every_engine_copies_every_alignment_and_length() {
    let mut draws = Draws::seeded(3);
    let source = draws.bytes(STREAM_MIN + 4 * MARGIN);
    let available = Engine::ALL.into_iter().filter(|engine| engine.is_available());
    for engine in available {
        for shift in 0..SHIFTS {
            let (from, to) = (draws.index(128), shift);
            for len in [0, 1, 31, 64, draws.index(1024), STREAM_MIN - 1, STREAM_MIN + shift] {
                check(&source, from, to, len, |source, target| {
                    // SAFETY: both are as long as `len`, and disjoint.
                    unsafe { engine.copy(source, target, len) };
                });
                for read_ahead in ReadAhead::ALL {
                    check(&source, from, to, len, |source, target| {
                        // SAFETY: likewise.
                        unsafe { engine.stream(source, target, len, read_ahead) };
                    });
                }
            }
        }
    }
}

#[test]
fn every_digested_copy_delivers_the_bytes_it_summed() {
    let mut draws = Draws::seeded(4);
    let source = draws.bytes(LONG + 2 * MARGIN);
    for round in 0..ROUNDS {
        // One alignment of the target after the other.
        let (from, to) = (draws.index(MARGIN), round % TARGETS);
        let len = match round {
            0 => 0,
            1 => STREAM_MIN,
            2 => STREAM_MIN + 1,
            // Long ones, and such as have a block of the checksum or two.
            _ => draws.index(if (round / TARGETS).is_multiple_of(2) { LONG } else { LONG / 50 }),
        };
        let expected = Digest::of(&source[from..from + len]);
        let mut digest = Digest::new();
        // SAFETY: both are as long as `len`, and disjoint.
        check(&source, from, to, len, |source, target| unsafe {
            copy_to_shared(source, target, len, &mut digest);
        });
        assert_eq!(digest.finish(), expected, "to shared, len={len}");
        let mut digest = Digest::new();
        // SAFETY: both are as long as `len`, and disjoint.
        check(&source, from, to, len, |source, target| unsafe {
            // A piece alone, and a piece of a large copy.
            let whole = if round % 2 == 0 { len } else { LONG };
            copy_from_shared(source, target, len, whole, &mut digest);
        });
        assert_eq!(digest.finish(), expected, "from shared, len={len}");
        let mut digest = Digest::new();
        // SAFETY: the slice is as long as `len`.
        unsafe { digest_shared(source[from..from + len].as_ptr(), len, &mut digest) };
        assert_eq!(digest.finish(), expected, "summed only, len={len}");
    }
}

#[test]
fn the_best_engine_is_one_that_runs_here() {
    assert!(Engine::best().is_available());
    assert!(Engine::Plain.is_available());
}

#[test]
fn bytes_that_change_during_a_copy_are_summed_as_they_were_delivered() {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    file.set_len(LONG as u64).unwrap();
    let map = |access| Mapping::new(file.as_fd(), LONG, access).unwrap();
    let (daemon, client) = (map(Access::ReadWrite), map(Access::Read));
    let whole = Extent::new(Offset::new(0), ByteSize::new(LONG as u64));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut draws = Draws::seeded(5);
            let contents = [draws.bytes(LONG), draws.bytes(LONG)];
            for content in contents.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                daemon.copy_in(Offset::new(0), content, Some(&mut Digest::new()));
            }
        });
        let reads = panic::catch_unwind(|| {
            for round in 0..RACES {
                // An aligned target is written straight from the registers, another one is not.
                let mut target = vec![0; LONG + round % 64];
                let arrived = &mut target[round % 64..];
                let mut digest = Digest::new();
                client.copy_out(whole, arrived, Some(&mut digest));
                assert_eq!(digest.finish(), Digest::of(arrived), "round={round}");
            }
        });
        done.store(true, Ordering::Relaxed);
        reads.unwrap_or_else(|failure| panic::resume_unwind(failure));
    });
}
