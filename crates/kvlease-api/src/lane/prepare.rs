//! The frame that asks for spare reservations.

use kvlease_types::ByteSize;

use super::{
    kind::Kind,
    list::{Full, ListWriter},
    malformed::Malformed,
    reader::Reader,
};

const ITEM_LEN: usize = 8;

/// The lengths that a prepare asks for space of, in their order.
#[derive(Clone, Debug)]
pub struct Lengths<'a>(std::slice::Iter<'a, [u8; ITEM_LEN]>);

impl<'a> Lengths<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        reader.counted_items().map(Self)
    }
}

impl Iterator for Lengths<'_> {
    type Item = ByteSize;

    fn next(&mut self) -> Option<ByteSize> {
        self.0.next().map(|len| ByteSize::new(u64::from_le_bytes(*len)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Lengths<'_> {}

/// Writer of a prepare. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct PrepareWriter<'o>(ListWriter<'o>);

impl<'o> PrepareWriter<'o> {
    /// Begins the frame.
    pub fn begin(out: &'o mut Vec<u8>, request: u64) -> Self {
        Self(ListWriter::begin(out, (Kind::Prepare, 0, request), &[], &[0; 4]))
    }

    /// Appends the length of an object to come.
    pub fn push(&mut self, len: ByteSize) -> Result<(), Full> {
        self.0.item(ITEM_LEN)?.extend_from_slice(&len.bytes().to_le_bytes());
        Ok(())
    }

    /// Ends the frame. Returns how many lengths it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
