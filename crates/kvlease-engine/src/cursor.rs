//! A position in an object's bytes, walked extent by extent.

use kvlease_types::{ByteSize, Extent, Offset};

/// How far an object has been written or read.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cursor {
    index: usize,
    within: u64,
}

impl Cursor {
    /// Moves on by at most `len_max` bytes within one extent, and returns the run moved over.
    /// The caller knows that bytes are left.
    pub(crate) fn advance(&mut self, extents: &[Extent], len_max: u64) -> Extent {
        while self.within == extents[self.index].len.bytes() {
            self.index += 1;
            self.within = 0;
        }
        let extent = extents[self.index];
        let len = len_max.min(extent.len.bytes() - self.within);
        let offset = Offset::new(extent.offset.bytes() + self.within);
        self.within += len;
        Extent::new(offset, ByteSize::new(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_visits_every_byte_once_and_in_order() {
        let extent = |offset, len| Extent::new(Offset::new(offset), ByteSize::new(len));
        let extents = [extent(8192, 10), extent(0, 3), extent(4096, 7)];
        let mut cursor = Cursor::default();
        let runs: Vec<_> = (0..5).map(|_| cursor.advance(&extents, 5)).collect();
        let expected =
            [extent(8192, 5), extent(8197, 5), extent(0, 3), extent(4096, 5), extent(4101, 2)];
        assert_eq!(runs, expected);
    }
}
