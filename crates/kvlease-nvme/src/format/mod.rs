//! Blocks of the file, as docs/nvme-tier.md describes them. All numbers are little-endian.

pub(crate) mod fields;
pub(crate) mod index_table;
pub(crate) mod record;
pub(crate) mod segment_header;
pub(crate) mod superblock;

/// Size of a block, in bytes: what direct I/O reads and writes at least.
pub(crate) const BLOCK: usize = 4096;

/// Version of the format. A file of another version is not opened.
pub(crate) const VERSION: u32 = 1;

/// Offset of the first segment in the file.
pub(crate) const SEGMENTS_AT: u64 = 1 << 20;
