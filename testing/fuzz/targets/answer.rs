//! Answers over HTTP as the client reads them, to the values that it takes from them.

#![no_main]

use std::{iter, sync::LazyLock};

use kvlease_client::fuzzing::{Answer, answer};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// More memory than the longest head and the longest read take.
const HELD_MAX: usize = 1 << 20;

/// The longest answer that also arrives byte by byte, each time. Its head is looked at as often.
const BYTE_BY_BYTE_MAX: usize = 1 << 10;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime without drivers"));

// The first line says what is asked for, and how long the pieces are in which the answer arrives.
fuzz_target!(|bytes: &[u8]| {
    let Some(([kind, cuts @ ..], wire)) = bytes.split_first_chunk::<5>() else { return };
    let whole = read(*kind, &[wire]);
    assert!(whole.held_max <= HELD_MAX, "{} bytes of memory", whole.held_max);
    if let Some(announced) = whole.announced {
        let len = whole.body.len() as u64;
        assert!(len <= announced, "{len} of {announced} bytes");
        assert!(!whole.is_whole || len == announced, "{len} of {announced} bytes are all");
    }
    let whole = Answer { held_max: 0, ..whole };
    let lens = [cuts.as_slice(), &[0]];
    for lens in &lens[..if wire.len() > BYTE_BY_BYTE_MAX { 1 } else { 2 }] {
        let cut = read(*kind, &pieces(wire, lens));
        assert_eq!(Answer { held_max: 0, ..cut }, whole);
    }
});

fn read(kind: u8, pieces: &[&[u8]]) -> Answer {
    RUNTIME.block_on(answer(kind, pieces.iter().copied()))
}

/// The bytes in pieces of these lengths plus one, in rotation.
fn pieces<'a>(wire: &'a [u8], lens: &[u8]) -> Vec<&'a [u8]> {
    let mut lens = lens.iter().map(|len| usize::from(*len) + 1).cycle();
    let mut rest = wire;
    let next = iter::from_fn(|| {
        let len = lens.next()?.min(rest.len());
        let piece;
        (piece, rest) = rest.split_at(len);
        (!piece.is_empty()).then_some(piece)
    });
    next.collect()
}
