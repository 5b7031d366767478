//! Every engine against the plain loop, at every alignment.

#![expect(unsafe_code, reason = "the copy engines take pointers")]

use kvlease_shm::{
    Digest,
    copy::{Engine, STREAM_MIN, TILE, copy_from_shared, copy_to_shared, digest_shared},
};

use crate::fixture::Random;

const GUARD: u8 = 0xa5;
const MARGIN: usize = 256;
/// Rounds of each test; an interpreter that checks every access gets fewer.
const SHIFTS: usize = if cfg!(miri) { 3 } else { 128 };
const ROUNDS: usize = if cfg!(miri) { 5 } else { 300 };

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
    let mut random = Random::new(3);
    let source = random.bytes(STREAM_MIN + 4 * MARGIN);
    let available = Engine::ALL.into_iter().filter(|engine| engine.is_available());
    for engine in available {
        for shift in 0..SHIFTS {
            let (from, to) = (random.below(128), shift);
            for len in [0, 1, 31, 64, random.below(1024), STREAM_MIN - 1, STREAM_MIN + shift] {
                check(&source, from, to, len, |source, target| {
                    // SAFETY: both are as long as `len`, and disjoint.
                    unsafe { engine.copy(source, target, len) };
                });
            }
        }
    }
}

#[test]
fn every_tiled_copy_delivers_the_bytes_it_summed() {
    let mut random = Random::new(4);
    let source = random.bytes(3 * TILE + 2 * MARGIN);
    for round in 0..ROUNDS {
        let (from, to) = (random.below(MARGIN), random.below(MARGIN));
        let len = match round {
            0 => 0,
            1 => TILE,
            2 => TILE + 1,
            _ => random.below(3 * TILE),
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
            copy_from_shared(source, target, len, &mut digest);
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
