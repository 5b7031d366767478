//! Header of the manifest; its byte table is in the parent module.

use kvlease_types::ByteSize;

use super::{
    layout::{CELL_LEN, MAGIC, VERSION},
    origin::ManifestOrigin,
};
use crate::file_header::{FileHeader, HEADER_LEN};

/// Fields in which manifests of one version differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Length of the arena.
    pub(crate) capacity: ByteSize,
    /// Inode of the arena.
    pub(crate) inode: u64,
    /// Boot that the times count from.
    pub(crate) boot: u64,
}

impl Header {
    /// Bytes of the header.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        self.fields().encode()
    }

    fn fields(&self) -> FileHeader {
        let numbers = [self.capacity.bytes(), self.inode, self.boot];
        FileHeader { magic: MAGIC, version: VERSION, entry_len: CELL_LEN as u32, numbers }
    }

    /// Header of an existing file, if it has this version.
    pub(super) fn decode(existing: &[u8]) -> Result<Self, ManifestOrigin> {
        let found = FileHeader::decode(existing).filter(|found| found.magic == MAGIC);
        let FileHeader { version, numbers, .. } = found.ok_or(ManifestOrigin::Corrupt)?;
        if version != VERSION {
            return Err(ManifestOrigin::OtherVersion(version));
        }
        let [capacity, inode, boot] = numbers;
        let header = Self { capacity: ByteSize::new(capacity), inode, boot };
        let whole = header.fields().begins(existing);
        whole.then_some(header).ok_or(ManifestOrigin::Corrupt)
    }

    /// Origin of an existing file for a daemon that expects this header.
    pub(super) fn judge(&self, existing: &[u8]) -> ManifestOrigin {
        match Self::decode(existing) {
            Err(origin) => origin,
            Ok(found) if found.boot != self.boot => ManifestOrigin::OtherBoot,
            Ok(found) if found != *self => ManifestOrigin::OtherArena,
            Ok(_) => ManifestOrigin::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvlease_sys::Digest;

    const SUMMED: usize = 40;

    const HEADER: Header =
        Header { capacity: ByteSize::gib(1), inode: 77, boot: 0x0123_4567_89ab_cdef };

    /// Writes another number into a header, with the sum that belongs to it.
    fn with(at: usize, number: u32) -> [u8; HEADER_LEN] {
        let mut bytes = HEADER.encode();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        let sum = Digest::of(&bytes[..SUMMED]).xxh3_64();
        bytes[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn every_foreign_header_is_recognised() {
        assert_eq!(HEADER.judge(&HEADER.encode()), ManifestOrigin::Kept);
        assert_eq!(HEADER.judge(&with(8, 7)), ManifestOrigin::OtherVersion(7));
        assert_eq!(HEADER.judge(&with(12, 128)), ManifestOrigin::Corrupt);
        assert_eq!(HEADER.judge(&with(16, 1)), ManifestOrigin::OtherArena);
        assert_eq!(HEADER.judge(&with(24, 78)), ManifestOrigin::OtherArena);
        assert_eq!(HEADER.judge(&with(32, 1)), ManifestOrigin::OtherBoot);
        assert_eq!(HEADER.judge(&[]), ManifestOrigin::Corrupt);
        for at in 0..HEADER_LEN {
            let mut bytes = HEADER.encode();
            bytes[at] ^= 1;
            assert_eq!(HEADER.judge(&bytes), ManifestOrigin::Corrupt, "byte {at}");
        }
    }
}
