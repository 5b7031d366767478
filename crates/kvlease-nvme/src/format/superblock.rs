//! Superblock: what the file is, at its start, twice.

use kvlease_sys::Digest;

use super::{
    BLOCK,
    fields::{array, put, u32_at, u64_at},
    version_of,
};
use crate::fingerprint::Secret;

/// First bytes of a superblock.
pub(crate) const MAGIC: [u8; 8] = *b"KVLTIER1";

/// Offsets of the copies in the file.
pub(crate) const COPIES_AT: [u64; 2] = [0, BLOCK as u64];

const VERSION_AT: usize = 8;
const SEGMENT_LEN_AT: usize = 16;
const SEGMENTS_COUNT_AT: usize = 24;
const STORE_AT: usize = 32;
const SECRET_AT: usize = 48;
const CHECKSUM_AT: usize = 64;

/// Fields of the block: name, offset and length, for the test that compares them with the document.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", 0, 8),
    ("version", VERSION_AT, 4),
    ("segment_len", SEGMENT_LEN_AT, 8),
    ("segments", SEGMENTS_COUNT_AT, 8),
    ("store", STORE_AT, 16),
    ("secret", SECRET_AT, 16),
    ("checksum", CHECKSUM_AT, 8),
];

/// Description of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    /// Length of a segment, in bytes.
    pub(crate) segment_len: u64,
    /// Number of segments.
    pub(crate) segments: u64,
    /// Random name of this store.
    pub(crate) store: [u8; 16],
    /// Key of its hashes.
    pub(crate) secret: Secret,
}

/// Contents of a block that should be a superblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A superblock.
    Superblock(Superblock),
    /// A superblock of another version of the format.
    OtherVersion(u32),
    /// Only zeros.
    Empty,
    /// Something else.
    Other,
}

impl Superblock {
    pub(crate) fn encode(&self, block: &mut [u8]) {
        block[..BLOCK].fill(0);
        put(block, 0, &MAGIC);
        put(block, VERSION_AT, &version_of(self.segment_len).to_le_bytes());
        put(block, SEGMENT_LEN_AT, &self.segment_len.to_le_bytes());
        put(block, SEGMENTS_COUNT_AT, &self.segments.to_le_bytes());
        put(block, STORE_AT, &self.store);
        put(block, SECRET_AT, &self.secret.bytes());
        let checksum = Digest::of(&block[..CHECKSUM_AT]).xxh3_64();
        put(block, CHECKSUM_AT, &checksum.to_le_bytes());
    }

    pub(crate) fn decode(block: &[u8]) -> Found {
        if block[..BLOCK].iter().all(|byte| *byte == 0) {
            return Found::Empty;
        }
        let checksum = Digest::of(&block[..CHECKSUM_AT]).xxh3_64();
        if block[..MAGIC.len()] != MAGIC || u64_at(block, CHECKSUM_AT) != checksum {
            return Found::Other;
        }
        let version = u32_at(block, VERSION_AT);
        let segment_len = u64_at(block, SEGMENT_LEN_AT);
        if version != version_of(segment_len) {
            return Found::OtherVersion(version);
        }
        Found::Superblock(Self {
            segment_len,
            segments: u64_at(block, SEGMENTS_COUNT_AT),
            store: array(block, STORE_AT),
            secret: Secret::new(array(block, SECRET_AT)),
        })
    }
}
