//! The frame that publishes what was written.

use kvlease_types::Checksum;

use super::{
    kind::Kind,
    list::{Full, ListWriter},
    malformed::Malformed,
    reader::{Reader, u64_at},
};

const ITEM_LEN: usize = 16;

/// One reservation to publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The reservation.
    pub write: u64,
    /// The checksum of the bytes that were written.
    pub checksum: Checksum,
}

/// The reservations that a commit names, in their order.
#[derive(Clone, Debug)]
pub struct Commits<'a>(std::slice::Iter<'a, [u8; ITEM_LEN]>);

impl<'a> Commits<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        reader.counted_items().map(Self)
    }
}

impl Iterator for Commits<'_> {
    type Item = Commit;

    fn next(&mut self) -> Option<Commit> {
        let item = self.0.next()?;
        Some(Commit { write: u64_at(item, 0), checksum: Checksum::new(u64_at(item, 8)) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Commits<'_> {}

/// Writer of a commit. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct CommitWriter<'o>(ListWriter<'o>);

impl<'o> CommitWriter<'o> {
    /// Begins the frame.
    pub fn begin(out: &'o mut Vec<u8>, request: u64) -> Self {
        Self(ListWriter::begin(out, (Kind::Commit, 0, request), &[], &[0; 4]))
    }

    /// Appends a reservation.
    pub fn push(&mut self, commit: Commit) -> Result<(), Full> {
        let out = self.0.item(ITEM_LEN)?;
        out.extend_from_slice(&commit.write.to_le_bytes());
        out.extend_from_slice(&commit.checksum.xxh3_64().to_le_bytes());
        Ok(())
    }

    /// Ends the frame. Returns how many reservations it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
