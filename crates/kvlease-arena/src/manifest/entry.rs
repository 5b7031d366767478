//! Entries as bytes; their table is in the parent module.

use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Extent, Offset, SealedObject, Timestamp};

use super::layout::{CELL_HEAD_LEN, CELL_LEN, CELL_ROOM, HEADER_CELLS};

/// Bytes of an entry before its extents.
const FIXED_LEN: usize = 40;
const EXTENT_LEN: usize = 16;

/// Appends the entry of an object.
pub(super) fn encode(object: &SealedObject<'_>, to: &mut Vec<u8>) {
    let small = |len: usize| u16::try_from(len).expect("names and extents have limits below that");
    to.extend(object.generation.to_le_bytes());
    to.extend(object.created.nanos().to_le_bytes());
    to.extend(object.len.bytes().to_le_bytes());
    to.extend(object.checksum.xxh3_64().to_le_bytes());
    for len in [object.extents.len(), object.bucket.len(), object.key.len(), 0] {
        to.extend(small(len).to_le_bytes());
    }
    for extent in object.extents {
        to.extend(extent.offset.bytes().to_le_bytes());
        to.extend(extent.len.bytes().to_le_bytes());
    }
    to.extend(object.bucket.as_bytes());
    to.extend(object.key.as_bytes());
}

/// Room in front of an entry for the fields that are summed with it: cell and length.
pub(super) const SUMMED_LEN: usize = 8;

/// Checksum at the start of an entry's first cell. The entry follows the first [`SUMMED_LEN`] bytes
/// of `summed`.
pub(super) fn sum(cell: u32, summed: &mut [u8]) -> u64 {
    let len = (summed.len() - SUMMED_LEN) as u32;
    summed[..4].copy_from_slice(&cell.to_le_bytes());
    summed[4..SUMMED_LEN].copy_from_slice(&len.to_le_bytes());
    Digest::of(summed).xxh3_64().max(1)
}

/// Calls `each` with every intact entry in the bytes of a manifest. Returns the number of corrupt
/// ones.
pub(super) fn for_each(manifest: &[u8], mut each: impl FnMut(&SealedObject<'_>)) -> u64 {
    let (mut summed, mut extents) = (Vec::new(), Vec::new());
    let mut corrupt = 0;
    let cells = manifest.chunks_exact(CELL_LEN).zip(0_u32..).skip(HEADER_CELLS as usize);
    for (first, cell) in cells {
        let found = number(first, 0).expect("a cell begins with a number");
        // Free, or a further cell of a chain.
        if found == 0 {
            continue;
        }
        summed.clear();
        summed.resize(SUMMED_LEN, 0);
        let whole =
            gather(manifest, first, &mut summed).is_some() && sum(cell, &mut summed) == found;
        match decode(&summed[SUMMED_LEN..], &mut extents).filter(|_| whole) {
            Some(object) => each(&object),
            None => corrupt += 1,
        }
    }
    corrupt
}

/// Makes every cell the first one of an entry, if its length is possible.
pub(super) fn seal(manifest: &mut [u8]) {
    let whole = manifest.to_vec();
    let cells = manifest.chunks_exact_mut(CELL_LEN).zip(0_u32..).skip(HEADER_CELLS as usize);
    for (first, cell) in cells {
        let mut summed = vec![0; SUMMED_LEN];
        if gather(&whole, first, &mut summed).is_some() {
            first[..8].copy_from_slice(&sum(cell, &mut summed).to_le_bytes());
        }
    }
}

/// Appends an entry from its cells.
fn gather(manifest: &[u8], first: &[u8], to: &mut Vec<u8>) -> Option<()> {
    // No cell is in a chain twice: a chain in a circle ends by the length of the file.
    let len = Some(small(first, 12)? as usize).filter(|len| *len <= manifest.len())?;
    let (mut cell, mut left) = (first, len);
    loop {
        let more = left.min(CELL_ROOM);
        to.extend(cell.get(CELL_HEAD_LEN..CELL_HEAD_LEN + more)?);
        left -= more;
        if left == 0 {
            return Some(());
        }
        let next = (small(cell, 8)? as usize).checked_mul(CELL_LEN)?;
        cell = manifest.get(next..next.checked_add(CELL_LEN)?)?;
    }
}

/// Object of an entry; `None` if the entry is corrupt.
fn decode<'a>(entry: &'a [u8], extents: &'a mut Vec<Extent>) -> Option<SealedObject<'a>> {
    let count = |at: usize| {
        let bytes = entry.get(at..at + 2)?.try_into().expect("two bytes");
        Some(usize::from(u16::from_le_bytes(bytes)))
    };
    // The names have to end where the entry does.
    let (places, bucket, key) = (count(32)?, count(34)?, count(36)?);
    let names = FIXED_LEN + places * EXTENT_LEN;
    if entry.len() != names + bucket + key || count(38)? != 0 {
        return None;
    }
    extents.clear();
    for place in entry[FIXED_LEN..names].chunks_exact(EXTENT_LEN) {
        let (offset, len) = (number(place, 0)?, number(place, 8)?);
        extents.push(Extent::new(Offset::new(offset), ByteSize::new(len)));
    }
    let (bucket, key) = entry[names..].split_at(bucket);
    Some(SealedObject {
        bucket: str::from_utf8(bucket).ok()?,
        key: str::from_utf8(key).ok()?,
        extents,
        len: ByteSize::new(number(entry, 16)?),
        checksum: Checksum::new(number(entry, 24)?),
        generation: number(entry, 0)?,
        created: Timestamp::from_nanos(number(entry, 8)?),
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn small(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
