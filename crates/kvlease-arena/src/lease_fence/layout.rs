//! Sizes in the file; the byte table is in the parent module.

use kvlease_types::ByteSize;

use crate::file_header::HEADER_LEN;

/// Granularity of the lease fence: a lease marks every region that it touches.
pub const REGION_SIZE: ByteSize = ByteSize::mib(2);

/// Bytes of one deadline.
pub(super) const DEADLINE_LEN: u64 = size_of::<u64>() as u64;

/// Raise it when the layout changes: an older daemon's file then counts as unreadable.
pub(super) const VERSION: u32 = 1;

pub(super) const MAGIC: [u8; 8] = *b"KVLHORZN";

/// Number of regions of an arena.
pub(super) fn regions(capacity: ByteSize) -> u64 {
    capacity.bytes().div_ceil(REGION_SIZE.bytes())
}

/// Place of a region's deadline in the file.
pub(super) fn place(region: u64) -> u64 {
    HEADER_LEN as u64 + region * DEADLINE_LEN
}

/// Length of the file of an arena.
pub(super) fn file_len(capacity: ByteSize) -> u64 {
    place(regions(capacity))
}
