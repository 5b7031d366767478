//! Header of a segment, its first block: it starts the segment's use, and gives it its place in the
//! log.

use super::{
    BLOCK,
    fields::{array, put, u32_at, u64_at},
};
use crate::fingerprint::Secret;

/// First bytes of a segment in use.
pub(crate) const MAGIC: [u8; 8] = *b"KVLSEGM1";

const SEQUENCE_AT: usize = 8;
const NUMBER_AT: usize = 16;
const CHECK_AT: usize = 24;

/// Fields of the block: name, offset and length, for the test that compares them with the document.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", 0, 8),
    ("sequence", SEQUENCE_AT, 8),
    ("number", NUMBER_AT, 4),
    ("check", CHECK_AT, 16),
];

/// Writes the header of segment `number` with this sequence number.
pub(crate) fn encode(secret: &Secret, number: u32, sequence: u64, block: &mut [u8]) {
    block[..BLOCK].fill(0);
    put(block, 0, &MAGIC);
    put(block, SEQUENCE_AT, &sequence.to_le_bytes());
    put(block, NUMBER_AT, &number.to_le_bytes());
    let check = secret.check(&[&block[..CHECK_AT]]);
    put(block, CHECK_AT, &check);
}

/// Sequence number of segment `number`; `None` if the segment is not in use.
pub(crate) fn decode(secret: &Secret, number: u32, block: &[u8]) -> Option<u64> {
    let is_header = block[..MAGIC.len()] == MAGIC
        && u32_at(block, NUMBER_AT) == number
        && array(block, CHECK_AT) == secret.check(&[&block[..CHECK_AT]]);
    is_header.then(|| u64_at(block, SEQUENCE_AT))
}
