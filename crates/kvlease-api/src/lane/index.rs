//! Frames about the published index: where it is, and what was read with it.

use super::{
    frame::{begin, end},
    ids::flags,
    kind::Kind,
    list::{Full, ListWriter},
    malformed::Malformed,
    reader::{Reader, u32_at, u64_at},
};

/// Length of the secret of the index.
const SECRET_LEN: usize = 16;

/// Length of a used object.
const USED_LEN: usize = 16;

/// The published index. Two descriptors come with it: that of the index, and that of the word of the
/// incarnation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// Key of the fingerprints of names.
    pub secret: [u8; SECRET_LEN],
    /// Number of slots that the index has cells for.
    pub slots: u64,
}

/// Appends a question for the published index.
pub fn write_index(out: &mut Vec<u8>, request: u64) {
    let start = begin(out, Kind::Index, 0, request);
    end(out, start);
}

impl Indexed {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let start = begin(out, Kind::Indexed, 0, request);
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.slots.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        end(out, start);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let secret = reader.take(SECRET_LEN)?.try_into().expect("as many bytes as were taken");
        let slots = reader.u64()?;
        reader.reserved::<8>()?;
        reader.end()?;
        Ok(Self { secret, slots })
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for Indexed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexed").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// Objects that were read without a lease.
#[derive(Clone, Debug)]
pub struct Used<'a> {
    /// How many reads there were since the last report, also of objects that are not named.
    pub reads: u64,
    /// Whether the client wants no answer.
    pub silent: bool,
    /// The objects: slot and generation of each.
    pub objects: UsedObjects<'a>,
}

/// Slots and generations of used objects, in their order.
#[derive(Clone, Debug)]
pub struct UsedObjects<'a>(std::slice::Iter<'a, [u8; USED_LEN]>);

impl<'a> Used<'a> {
    pub(super) fn decode(mut reader: Reader<'a>, silent: bool) -> Result<Self, Malformed> {
        let reads = reader.u64()?;
        let items = reader.counted_items()?;
        let is_reserved = |item: &[u8; USED_LEN]| u32_at(item, 4) != 0;
        match items.clone().any(is_reserved) {
            true => Err(Malformed::Reserved),
            false => Ok(Self { reads, silent, objects: UsedObjects(items) }),
        }
    }
}

impl Iterator for UsedObjects<'_> {
    type Item = (u32, u64);

    fn next(&mut self) -> Option<(u32, u64)> {
        self.0.next().map(|item| (u32_at(item, 0), u64_at(item, 8)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for UsedObjects<'_> {}

/// Writer of a report of used objects. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct UsedWriter<'o>(ListWriter<'o>);

impl<'o> UsedWriter<'o> {
    /// Begins a report of `reads` reads. If it is `silent`, the daemon does not answer.
    pub fn begin(out: &'o mut Vec<u8>, request: u64, reads: u64, silent: bool) -> Self {
        let head = (Kind::Used, flags(silent), request);
        Self(ListWriter::begin(out, head, &reads.to_le_bytes(), &[0; 4]))
    }

    /// Appends an object.
    pub fn push(&mut self, slot: u32, generation: u64) -> Result<(), Full> {
        let out = self.0.item(USED_LEN)?;
        out.extend_from_slice(&slot.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&generation.to_le_bytes());
        Ok(())
    }

    /// Ends the frame. Returns how many objects it names.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}
