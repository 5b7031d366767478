//! Records of a segment: an object, or tombstones.

use super::{
    BLOCK,
    fields::{array, put, u16_at, u32_at, u64_at, u128_at},
};
use crate::fingerprint::{Fingerprint, Secret};

/// First bytes of a record.
pub(crate) const MAGIC: [u8; 8] = *b"KVLRECD1";

/// Number of the kind: the record of an object.
pub(crate) const KIND_OBJECT: u8 = 1;

/// Number of the kind: fingerprints of objects that were removed.
pub(crate) const KIND_TOMBSTONES: u8 = 2;

const SEQUENCE_AT: usize = 8;
const BLOCK_AT: usize = 16;
const KIND_AT: usize = 20;
const BUCKET_LEN_AT: usize = 21;
const KEY_LEN_AT: usize = 22;
const LEN_AT: usize = 24;
const CHECKSUM_AT: usize = 32;
const CHECK_AT: usize = 40;
const NAMES_AT: usize = 56;

/// The most fingerprints of one record of tombstones: it is one block.
pub(crate) const TOMBSTONES_MAX: usize = (BLOCK - NAMES_AT) / size_of::<u128>();

/// Fields of the block: name, offset and length, for the test that compares them with the document.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", 0, 8),
    ("sequence", SEQUENCE_AT, 8),
    ("block", BLOCK_AT, 4),
    ("kind", KIND_AT, 1),
    ("bucket_len", BUCKET_LEN_AT, 1),
    ("key_len", KEY_LEN_AT, 2),
    ("len", LEN_AT, 8),
    ("checksum", CHECKSUM_AT, 8),
    ("check", CHECK_AT, 16),
    ("names", NAMES_AT, 0),
];

/// Where a record starts: the sequence number of its segment, and its block there. Later records of
/// the log have larger positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) block: u32,
}

/// Contents of a record's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) position: Position,
    pub(crate) kind: u8,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    /// Length of the bytes.
    pub(crate) len: u64,
    /// XXH3-64 of the bytes.
    pub(crate) checksum: u64,
}

/// Lengths of a record's parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Where the bytes start.
    pub(crate) data_at: usize,
    /// Blocks of the record.
    pub(crate) blocks: u64,
}

impl Layout {
    /// Layout of a record with names of this total length, and `len` bytes. Bytes that fit share
    /// the header's block; others start behind it.
    pub(crate) fn of(names_len: usize, len: u64) -> Self {
        let header_len = (NAMES_AT + names_len).next_multiple_of(8);
        let data_at = if header_len as u64 + len <= BLOCK as u64 { header_len } else { BLOCK };
        Self { data_at, blocks: (data_at as u64 + len).div_ceil(BLOCK as u64) }
    }
}

impl<'a> Header<'a> {
    pub(crate) fn layout(&self) -> Layout {
        Layout::of(self.bucket.len() + self.key.len(), self.len)
    }

    /// Writes the header into the record's first block, zeros behind it.
    pub(crate) fn encode(&self, secret: &Secret, block: &mut [u8]) {
        let (bucket, key) = (self.bucket.as_bytes(), self.key.as_bytes());
        let bucket_len = u8::try_from(bucket.len()).expect("a bucket's name has 255 bytes at most");
        let key_len = u16::try_from(key.len()).expect("a key has 2048 bytes at most");
        block[..BLOCK].fill(0);
        put(block, 0, &MAGIC);
        put(block, SEQUENCE_AT, &self.position.sequence.to_le_bytes());
        put(block, BLOCK_AT, &self.position.block.to_le_bytes());
        block[KIND_AT] = self.kind;
        block[BUCKET_LEN_AT] = bucket_len;
        put(block, KEY_LEN_AT, &key_len.to_le_bytes());
        put(block, LEN_AT, &self.len.to_le_bytes());
        put(block, CHECKSUM_AT, &self.checksum.to_le_bytes());
        put(block, NAMES_AT, bucket);
        put(block, NAMES_AT + bucket.len(), key);
        let names_end = NAMES_AT + bucket.len() + key.len();
        let check = secret.check(&[&block[..CHECK_AT], &block[NAMES_AT..names_end]]);
        put(block, CHECK_AT, &check);
    }

    /// Reads the header of the record at this position; `None` if there is none of this store.
    pub(crate) fn decode(secret: &Secret, position: Position, block: &'a [u8]) -> Option<Self> {
        let names_len = |block: &[u8]| {
            (usize::from(block[BUCKET_LEN_AT]), usize::from(u16_at(block, KEY_LEN_AT)))
        };
        if block[..MAGIC.len()] != MAGIC
            || u64_at(block, SEQUENCE_AT) != position.sequence
            || u32_at(block, BLOCK_AT) != position.block
        {
            return None;
        }
        let (bucket_len, key_len) = names_len(block);
        let names = block.get(NAMES_AT..NAMES_AT + bucket_len + key_len)?;
        if array(block, CHECK_AT) != secret.check(&[&block[..CHECK_AT], names]) {
            return None;
        }
        let (bucket, key) = names.split_at(bucket_len);
        Some(Self {
            position,
            kind: block[KIND_AT],
            bucket: str::from_utf8(bucket).ok()?,
            key: str::from_utf8(key).ok()?,
            len: u64_at(block, LEN_AT),
            checksum: u64_at(block, CHECKSUM_AT),
        })
    }
}

/// Bytes of a record of tombstones.
pub(crate) fn encode_tombstones(fingerprints: &[Fingerprint]) -> Vec<u8> {
    fingerprints.iter().flat_map(|fingerprint| fingerprint.0.to_le_bytes()).collect()
}

/// Fingerprints in the bytes of a record of tombstones.
pub(crate) fn decode_tombstones(bytes: &[u8]) -> impl Iterator<Item = Fingerprint> {
    let numbers = bytes.chunks_exact(size_of::<u128>()).map(|number| u128_at(number, 0));
    numbers.map(Fingerprint)
}
