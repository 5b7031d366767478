//! The header of the record; its byte table is in the parent module.

use kvlease_types::ByteSize;

use super::{CELL_LEN, HEADER_CELLS, RecordOrigin};
use crate::digest::xxh3;

/// Where the cells begin.
pub(super) const HEADER_LEN: usize = HEADER_CELLS as usize * CELL_LEN;

/// Raise it when the layout changes, and go on reading the older ones where that is possible.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"KVLRECRD";
const SUMMED: usize = 40;

/// What differs between records of the same version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The length of the arena.
    pub(crate) capacity: ByteSize,
    /// The arena's inode.
    pub(crate) inode: u64,
    /// The boot that times count from.
    pub(crate) boot: u64,
}

impl Header {
    /// The bytes of the header.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(CELL_LEN as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.capacity.bytes().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.inode.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.boot.to_le_bytes());
        let sum = xxh3(&bytes[..SUMMED]);
        bytes[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header of an existing file, if it is one of this version.
    pub(super) fn decode(existing: &[u8]) -> Result<Self, RecordOrigin> {
        let existing = existing.first_chunk::<HEADER_LEN>().ok_or(RecordOrigin::Damaged)?;
        let number = |at: usize| {
            let bytes = existing[at..at + 8].try_into().expect("eight bytes of the header");
            u64::from_le_bytes(bytes)
        };
        if existing[..8] != MAGIC || number(SUMMED) != xxh3(&existing[..SUMMED]) {
            return Err(RecordOrigin::Damaged);
        }
        let version = number(8) as u32;
        if version != VERSION {
            return Err(RecordOrigin::OtherVersion(version));
        }
        let found =
            Self { capacity: ByteSize::new(number(16)), inode: number(24), boot: number(32) };
        let whole = *existing == found.encode();
        whole.then_some(found).ok_or(RecordOrigin::Damaged)
    }

    /// What an existing file means to a daemon that wants this header.
    pub(super) fn judge(&self, existing: &[u8]) -> RecordOrigin {
        match Self::decode(existing) {
            Err(origin) => origin,
            Ok(found) if found.boot != self.boot => RecordOrigin::OtherBoot,
            Ok(found) if found != *self => RecordOrigin::OtherArena,
            Ok(_) => RecordOrigin::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { capacity: ByteSize::gib(1), inode: 77, boot: 0x0123_4567_89ab_cdef };

    /// Writes another number into a header, with the sum that belongs to it.
    fn with(at: usize, number: u32) -> [u8; HEADER_LEN] {
        let mut bytes = HEADER.encode();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        let sum = xxh3(&bytes[..SUMMED]);
        bytes[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn every_header_that_is_not_ours_is_told_apart() {
        assert_eq!(HEADER.judge(&HEADER.encode()), RecordOrigin::Kept);
        assert_eq!(HEADER.judge(&with(8, 7)), RecordOrigin::OtherVersion(7));
        assert_eq!(HEADER.judge(&with(12, 128)), RecordOrigin::Damaged);
        assert_eq!(HEADER.judge(&with(16, 1)), RecordOrigin::OtherArena);
        assert_eq!(HEADER.judge(&with(24, 78)), RecordOrigin::OtherArena);
        assert_eq!(HEADER.judge(&with(32, 1)), RecordOrigin::OtherBoot);
        assert_eq!(HEADER.judge(&[]), RecordOrigin::Damaged);
        for damaged in 0..HEADER_LEN {
            let mut bytes = HEADER.encode();
            bytes[damaged] ^= 1;
            assert_eq!(HEADER.judge(&bytes), RecordOrigin::Damaged, "byte {damaged}");
        }
    }
}
