//! Division of a record into the pieces that one read or write moves.

use std::ops::Range;

use crate::{
    device::Split,
    format::{BLOCK, record::Layout},
};

/// Bytes of a piece. The first one has the block of the header besides, so that an object of this
/// length moves at once.
pub(crate) const PIECE: usize = 1 << 20;

/// Bytes that are copied before threads that wait for the processor get it. Those that answer requests would
/// else wait for the rest of a time slice, which is milliseconds.
pub(crate) const PART: usize = 128 << 10;

/// Length of the buffer for a piece.
pub(crate) const BUFFER_LEN: usize = PIECE + BLOCK;

/// Pieces of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    layout: Layout,
    len: u64,
}

impl Pieces {
    pub(crate) const fn new(layout: Layout, len: u64) -> Self {
        Self { layout, len }
    }

    /// Number of pieces.
    pub(crate) fn count(&self) -> u32 {
        let behind_header = (self.layout.blocks - 1) * BLOCK as u64;
        let count = behind_header.div_ceil(PIECE as u64).max(1);
        u32::try_from(count).expect("a segment has few pieces")
    }

    /// Bytes of the record that a piece is.
    pub(crate) fn range(&self, piece: u32) -> Range<u64> {
        let end = BLOCK as u64 + (u64::from(piece) + 1) * PIECE as u64;
        let start = if piece == 0 { 0 } else { end - PIECE as u64 };
        start..end.min(self.layout.blocks * BLOCK as u64)
    }

    /// Length of a piece.
    pub(crate) fn piece_len(&self, piece: u32) -> usize {
        let range = self.range(piece);
        (range.end - range.start) as usize
    }

    /// Where the object's bytes are within a piece.
    pub(crate) fn data(&self, piece: u32) -> Range<usize> {
        let range = self.range(piece);
        let start = if piece == 0 { self.layout.data_at as u64 } else { range.start };
        let end = range.end.min(self.layout.data_at as u64 + self.len);
        (start - range.start) as usize..(end - range.start) as usize
    }

    /// Division of a piece whose whole blocks of the object's bytes are moved between the device and
    /// shared memory; `None` if it has none.
    pub(crate) fn split(&self, piece: u32) -> Option<Split> {
        let data = self.data(piece);
        let shared = data.len() - data.len() % BLOCK;
        let after = self.piece_len(piece) - data.start - shared;
        let is_aligned = data.start.is_multiple_of(BLOCK);
        (is_aligned && shared > 0).then_some(Split { before: data.start, shared, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_record_and_its_bytes_once() {
        let piece = PIECE as u64;
        for len in [0, 1, 4000, 4096, piece - 1, piece, piece + 1, 5 * piece + 7] {
            let layout = Layout::of(20, len);
            let pieces = Pieces::new(layout, len);
            let mut end = 0;
            let mut data = 0;
            for number in 0..pieces.count() {
                assert_eq!(pieces.range(number).start, end);
                end = pieces.range(number).end;
                data += pieces.data(number).len() as u64;
                assert!(pieces.piece_len(number) <= BUFFER_LEN);
                assert!(pieces.data(number).end <= pieces.piece_len(number));
                match pieces.split(number) {
                    Some(Split { before, shared, after }) => {
                        assert_eq!(before + shared + after, pieces.piece_len(number));
                        assert!(after == 0 || number + 1 == pieces.count(), "one tail");
                        assert!(shared.is_multiple_of(BLOCK) && before.is_multiple_of(BLOCK));
                    }
                    None => assert!(pieces.data(number).len() < BLOCK),
                }
            }
            assert_eq!(end, layout.blocks * BLOCK as u64);
            assert_eq!(data, len);
        }
        let one = Pieces::new(Layout::of(20, piece), piece);
        assert_eq!(one.count(), 1, "an object of one piece moves at once");
    }
}
