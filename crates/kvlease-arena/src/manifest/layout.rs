//! Sizes in the file; the byte tables are in the parent module.

/// Bytes per cell.
pub(super) const CELL_LEN: usize = 256;

/// Bytes at the start of every cell: checksum, next cell, length.
pub(super) const CELL_HEAD_LEN: usize = 16;

/// Bytes of an entry that one cell holds.
pub(super) const CELL_ROOM: usize = CELL_LEN - CELL_HEAD_LEN;

/// Number of cells that the header takes.
pub(super) const HEADER_CELLS: u32 = 16;

/// Raise it when the layout changes, and go on reading the older ones where that is possible.
pub(super) const VERSION: u32 = 1;

pub(super) const MAGIC: [u8; 8] = *b"KVLRECRD";
