//! Cells in the mapped file: the one place that writes them.

use kvlease_sys::Mapping;
use kvlease_types::{ByteSize, Extent, Offset};

use super::{
    entry::{SUMMED_LEN, sum},
    layout::{CELL_LEN, CELL_ROOM},
};

/// Bytes of the checksum at the start of a cell.
const SUM_LEN: usize = 8;

/// Cells of a mapped manifest. The manifest hands out their numbers, and is their only writer.
#[derive(Debug)]
pub(super) struct Cells {
    mapping: Mapping,
}

impl Cells {
    pub(super) fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    /// Writes an entry, which follows [`SUMMED_LEN`] bytes in `summed`, into a chain of exactly as
    /// many cells as it needs.
    pub(super) fn write(&self, chain: &[u32], summed: &mut [u8]) {
        let head = chain[0];
        let sum = sum(head, summed);
        let entry = &summed[SUMMED_LEN..];
        let pieces = entry.chunks(CELL_ROOM).zip(chain.iter().zip(chain[1..].iter().chain(&[0])));
        for (piece, (cell, next)) in pieces {
            let len = if *cell == head { entry.len() as u32 } else { 0 };
            let mut bytes = [0; CELL_LEN - SUM_LEN];
            bytes[..4].copy_from_slice(&next.to_le_bytes());
            bytes[4..8].copy_from_slice(&len.to_le_bytes());
            bytes[8..8 + piece.len()].copy_from_slice(piece);
            self.mapping.copy_in(offset(*cell, SUM_LEN), &bytes, None);
        }
        // The commit, after everything else: a process that is killed has made all of its stores up
        // to some point in their order and none behind it.
        self.mapping.word(offset(head, 0)).store(sum.to_le());
    }

    /// Deletes the entry that begins in this cell, and appends its cells to `freed`.
    pub(super) fn delete(&self, head: u32, freed: &mut Vec<u32>) {
        self.mapping.word(offset(head, 0)).store(0);
        let mut cell = head;
        while cell != 0 {
            freed.push(cell);
            cell = self.next(cell);
        }
    }

    fn next(&self, cell: u32) -> u32 {
        let mut next = [0; size_of::<u32>()];
        let field = Extent::new(offset(cell, SUM_LEN), ByteSize::new(next.len() as u64));
        self.mapping.copy_out(field, &mut next, None);
        u32::from_le_bytes(next)
    }
}

/// Place of a byte of a cell. Cells are handed out only within the file.
fn offset(cell: u32, byte: usize) -> Offset {
    Offset::new(u64::from(cell) * CELL_LEN as u64 + byte as u64)
}
