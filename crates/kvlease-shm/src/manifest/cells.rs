//! Cells in the mapped file: the one place that writes them.

use std::sync::atomic::{AtomicU64, Ordering};

use kvlease_types::{ByteSize, Extent, Offset};

use super::{
    CELL_LEN, CELL_ROOM,
    entry::{SUMMED_LEN, sum},
};
use crate::mapping::Mapping;

/// What every cell begins with: sum, next cell and length.
pub(super) const HEAD_LEN: usize = 16;

/// The cells of a mapped manifest. Its user hands out their numbers and sees to it that nobody else
/// writes them.
#[derive(Debug)]
pub(super) struct Cells {
    mapping: Mapping,
}

impl Cells {
    pub(super) fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    /// Writes an entry, which is behind [`SUMMED_LEN`] bytes, into these cells, of which there are
    /// as many as it needs.
    pub(super) fn write(&self, chain: &[u32], summed: &mut [u8]) {
        let head = chain[0];
        let sum = sum(head, summed);
        let entry = &summed[SUMMED_LEN..];
        let pieces = entry.chunks(CELL_ROOM).zip(chain.iter().zip(chain[1..].iter().chain(&[0])));
        for (piece, (cell, next)) in pieces {
            let len = if *cell == head { entry.len() as u32 } else { 0 };
            let mut bytes = [0; CELL_LEN - 8];
            bytes[..4].copy_from_slice(&next.to_le_bytes());
            bytes[4..8].copy_from_slice(&len.to_le_bytes());
            bytes[8..8 + piece.len()].copy_from_slice(piece);
            self.fill(*cell, &bytes);
        }
        // After everything else: a process that is killed has made all of its stores up to some
        // point in their order and none behind it.
        self.sum_of(head).store(sum, Ordering::Release);
    }

    /// Strikes out the entry that begins in this cell, and returns its cells.
    pub(super) fn delete(&self, head: u32, freed: &mut Vec<u32>) {
        self.sum_of(head).store(0, Ordering::Release);
        let mut cell = head;
        while cell != 0 {
            freed.push(cell);
            cell = self.next(cell);
        }
    }

    fn fill(&self, cell: u32, bytes: &[u8; CELL_LEN - 8]) {
        let place = self.locate(cell).wrapping_add(8);
        // SAFETY: the cell is within the writable mapping, which lives as long as `self`, and the
        // bytes behind its sum are as many; nobody else writes the cell while it is in this
        // chain, and nobody reads it before the process has ended.
        unsafe { bytes.as_ptr().copy_to_nonoverlapping(place, bytes.len()) };
    }

    fn next(&self, cell: u32) -> u32 {
        let place = self.locate(cell).wrapping_add(8);
        // SAFETY: the cell is within the mapping and its next number is aligned in it; only this
        // process writes the file.
        unsafe { place.cast::<u32>().read() }.to_le()
    }

    fn sum_of(&self, cell: u32) -> &AtomicU64 {
        // SAFETY: the cell is within the mapping, which lives as long as `self`; cells begin at
        // multiples of 256, and their sum is only accessed atomically.
        unsafe { AtomicU64::from_ptr(self.locate(cell).cast()) }
    }

    fn locate(&self, cell: u32) -> *mut u8 {
        let offset = Offset::new(u64::from(cell) * CELL_LEN as u64);
        let place = self.mapping.locate(Extent::new(offset, ByteSize::new(CELL_LEN as u64)));
        place.expect("cells are handed out only within the file")
    }
}
