//! Extents of an object: the first extent in its record, the others behind all records.

use kvlease_types::{ByteSize, Extent, Offset};

use super::{
    limits::EXTENTS_MAX,
    malformed::Malformed,
    reader::{Reader, u64_at},
};

pub(super) const EXTENT_LEN: usize = 16;

/// The extents of one object, in the order of its bytes. An empty object has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extents<'a> {
    first: Option<Extent>,
    more: &'a [[u8; EXTENT_LEN]],
}

impl<'a> Extents<'a> {
    /// Takes the extents of one record: its first, and `more` from those behind all records.
    /// Checks that there are not too many, and that each ends within 64 bits.
    pub(super) fn take(
        first: &[u8; EXTENT_LEN],
        more: u16,
        behind: &mut Reader<'a>,
    ) -> Result<Self, Malformed> {
        if more as usize >= EXTENTS_MAX {
            return Err(Malformed::Extents);
        }
        let more = behind.items(more.into())?;
        let first = extent(first);
        // An empty object's record has a first extent of zeros, and no others.
        let none = first.len == ByteSize::ZERO;
        let extents = Self { first: (!none).then_some(first), more };
        let clean = !none || (first.offset == Offset::new(0) && more.is_empty());
        if clean && extents.len().is_some() { Ok(extents) } else { Err(Malformed::Extents) }
    }

    /// The extents, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + use<'a> {
        self.first.into_iter().chain(self.more.iter().map(extent))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// The sum of their lengths, unless one of them is empty or something is beyond 64 bits.
    pub(super) fn len(&self) -> Option<ByteSize> {
        let add = |sum: u64, extent: Extent| {
            extent.end().filter(|_| extent.len != ByteSize::ZERO)?;
            sum.checked_add(extent.len.bytes())
        };
        self.iter().try_fold(0, add).map(ByteSize::new)
    }
}

/// Place of the first extent: at the end of a record.
pub(super) fn first_extent<const LEN: usize>(record: &[u8; LEN]) -> &[u8; EXTENT_LEN] {
    record.last_chunk().expect("a record is longer than an extent")
}

fn extent(item: &[u8; EXTENT_LEN]) -> Extent {
    Extent::new(Offset::new(u64_at(item, 0)), ByteSize::new(u64_at(item, 8)))
}

/// Extents behind all records, while the records are written.
#[derive(Default, Debug)]
pub(super) struct Behind(Vec<(usize, Extent)>);

impl Behind {
    /// Parts the extents of a record into the first, which stands in it, and the others, which are
    /// kept. Returns how many those are.
    pub(super) fn split(&mut self, record: usize, extents: &[Extent]) -> (Extent, u16) {
        let none = Extent::new(Offset::new(0), ByteSize::ZERO);
        let (first, more) = extents.split_first().unwrap_or((&none, &[]));
        assert!(more.len() < EXTENTS_MAX, "no object has more extents than fit a record");
        self.0.extend(more.iter().map(|extent| (record, *extent)));
        (*first, more.len() as u16)
    }

    /// Appends what was kept, in the order of the records.
    pub(super) fn append(mut self, out: &mut Vec<u8>) {
        self.0.sort_by_key(|(record, _)| *record);
        self.0.iter().for_each(|(_, extent)| out.extend_from_slice(&extent_bytes(*extent)));
    }
}

pub(super) fn extent_bytes(extent: Extent) -> [u8; EXTENT_LEN] {
    let mut bytes = [0; EXTENT_LEN];
    bytes[..8].copy_from_slice(&extent.offset.bytes().to_le_bytes());
    bytes[8..].copy_from_slice(&extent.len.bytes().to_le_bytes());
    bytes
}
