//! Index table of a sealed segment, at its end: what the segment holds, so that a start reads the
//! table and not the segment.

use kvlease_sys::Digest;

use super::{
    BLOCK,
    fields::{array, put, u16_at, u32_at, u64_at, u128_at},
};
use crate::fingerprint::{Fingerprint, Secret};

/// First bytes of the footer.
pub(crate) const MAGIC: [u8; 8] = *b"KVLINDX1";

/// Length of the footer, the last bytes of the segment.
pub(crate) const FOOTER_LEN: usize = 64;

/// Length of an entry.
pub(crate) const ENTRY_LEN: usize = 32;

const SEQUENCE_AT: usize = 8;
const COUNT_AT: usize = 16;
const CHECKSUM_AT: usize = 24;
const CHECK_AT: usize = 32;

const ENTRY_CHECKSUM_AT: usize = 16;
const ENTRY_LEN_AT: usize = 24;
const ENTRY_BLOCK_AT: usize = 28;
const ENTRY_KIND_AT: usize = 30;
const ENTRY_BLOCK_HIGH_AT: usize = 31;

/// Fields of the block: name, offset and length, for the test that compares them with the document.
#[cfg(test)]
pub(crate) const ENTRY_FIELDS: &[(&str, usize, usize)] = &[
    ("fingerprint", 0, 16),
    ("checksum", ENTRY_CHECKSUM_AT, 8),
    ("len", ENTRY_LEN_AT, 4),
    ("block", ENTRY_BLOCK_AT, 2),
    ("kind", ENTRY_KIND_AT, 1),
    ("block_high", ENTRY_BLOCK_HIGH_AT, 1),
];

/// Fields of the block: name, offset and length, for the test that compares them with the document.
#[cfg(test)]
pub(crate) const FOOTER_FIELDS: &[(&str, usize, usize)] = &[
    ("magic", 0, 8),
    ("sequence", SEQUENCE_AT, 8),
    ("count", COUNT_AT, 4),
    ("checksum", CHECKSUM_AT, 8),
    ("check", CHECK_AT, 16),
];

/// Entry of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) checksum: u64,
    pub(crate) len: u32,
    /// First block of the record, a number of 24 bits.
    pub(crate) block: u32,
    /// Kind of the record.
    pub(crate) kind: u8,
}

/// Footer of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub(crate) sequence: u64,
    pub(crate) count: u32,
    /// XXH3-64 of the entries.
    pub(crate) checksum: u64,
}

/// Blocks of a table with this many entries, footer included.
pub(crate) fn blocks(count: usize) -> usize {
    (count * ENTRY_LEN + FOOTER_LEN).div_ceil(BLOCK)
}

/// Writes the table and its footer into exactly its blocks.
pub(crate) fn encode(secret: &Secret, sequence: u64, entries: &[Entry], table: &mut [u8]) {
    table.fill(0);
    for (at, entry) in entries.iter().enumerate() {
        entry.encode(&mut table[at * ENTRY_LEN..][..ENTRY_LEN]);
    }
    let checksum = Digest::of(&table[..entries.len() * ENTRY_LEN]).xxh3_64();
    let count = u32::try_from(entries.len()).expect("a segment has fewer blocks than that");
    let footer_at = table.len() - FOOTER_LEN;
    let footer = &mut table[footer_at..];
    put(footer, 0, &MAGIC);
    put(footer, SEQUENCE_AT, &sequence.to_le_bytes());
    put(footer, COUNT_AT, &count.to_le_bytes());
    put(footer, CHECKSUM_AT, &checksum.to_le_bytes());
    let check = secret.check(&[&footer[..CHECK_AT]]);
    put(footer, CHECK_AT, &check);
}

impl Footer {
    /// The footer at the end of the segment's last block; `None` if the segment is not sealed.
    pub(crate) fn decode(secret: &Secret, last_block: &[u8]) -> Option<Self> {
        let footer = &last_block[last_block.len() - FOOTER_LEN..];
        let is_footer = footer[..MAGIC.len()] == MAGIC
            && array(footer, CHECK_AT) == secret.check(&[&footer[..CHECK_AT]]);
        is_footer.then(|| Self {
            sequence: u64_at(footer, SEQUENCE_AT),
            count: u32_at(footer, COUNT_AT),
            checksum: u64_at(footer, CHECKSUM_AT),
        })
    }

    /// The entries of a table, in the order of the log; `None` if they are not those that were
    /// written.
    pub(crate) fn entries(&self, table: &[u8]) -> Option<Vec<Entry>> {
        let entries = table.get(..self.count as usize * ENTRY_LEN)?;
        let is_whole = Digest::of(entries).xxh3_64() == self.checksum;
        is_whole.then(|| entries.chunks_exact(ENTRY_LEN).map(Entry::decode).collect())
    }
}

impl Entry {
    fn encode(&self, bytes: &mut [u8]) {
        put(bytes, 0, &self.fingerprint.0.to_le_bytes());
        put(bytes, ENTRY_CHECKSUM_AT, &self.checksum.to_le_bytes());
        put(bytes, ENTRY_LEN_AT, &self.len.to_le_bytes());
        let [low, middle, high, _] = self.block.to_le_bytes();
        put(bytes, ENTRY_BLOCK_AT, &[low, middle]);
        bytes[ENTRY_KIND_AT] = self.kind;
        bytes[ENTRY_BLOCK_HIGH_AT] = high;
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            fingerprint: Fingerprint(u128_at(bytes, 0)),
            checksum: u64_at(bytes, ENTRY_CHECKSUM_AT),
            len: u32_at(bytes, ENTRY_LEN_AT),
            block: u32::from(bytes[ENTRY_BLOCK_HIGH_AT]) << 16
                | u32::from(u16_at(bytes, ENTRY_BLOCK_AT)),
            kind: bytes[ENTRY_KIND_AT],
        }
    }
}
