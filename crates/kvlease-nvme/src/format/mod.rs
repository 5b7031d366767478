//! Blocks of the file, as docs/nvme-tier.md describes them. All numbers are little-endian.

use std::ops::RangeInclusive;

pub(crate) mod fields;
pub(crate) mod index_table;
pub(crate) mod record;
pub(crate) mod segment_header;
pub(crate) mod superblock;

/// Size of a block, in bytes: what direct I/O reads and writes at least.
pub(crate) const BLOCK: usize = 4096;

/// Versions of the format. A file of another version is not opened.
pub(crate) const VERSIONS: RangeInclusive<u32> = 1..=2;

/// The longest segment of version 1, whose blocks are numbered with 16 bits.
const SEGMENT_LEN_MAX_1: u64 = 256 << 20;

/// Version of a file with segments of this length: the first one that can have them, so that earlier daemons open
/// what they can read.
pub(crate) const fn version_of(segment_len: u64) -> u32 {
    if segment_len > SEGMENT_LEN_MAX_1 { *VERSIONS.end() } else { *VERSIONS.start() }
}

/// Offset of the first segment in the file.
pub(crate) const SEGMENTS_AT: u64 = 1 << 20;
