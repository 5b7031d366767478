//! Header of the daemon's private files: kind, version, and the numbers that have to agree.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, one for each kind of file |
//! | 8..12 | version of the layout |
//! | 12..16 | bytes per entry of what follows |
//! | 16..40 | three numbers of the kind of file |
//! | 40..48 | XXH3-64 of bytes 0..40 |
//! | 48..4096 | zero |

use kvlease_sys::Digest;

/// Length in bytes: the contents of the file follow.
pub(crate) const HEADER_LEN: usize = 4096;

const SUMMED: usize = 40;

/// Header of a private file. All numbers are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) entry_len: u32,
    pub(crate) numbers: [u64; 3],
}

impl FileHeader {
    /// The bytes of the header.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&self.magic);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.entry_len.to_le_bytes());
        for (field, number) in bytes[16..SUMMED].chunks_exact_mut(8).zip(self.numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let sum = Digest::of(&bytes[..SUMMED]).xxh3_64();
        bytes[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Fields of the header at the start of a file, if their checksum holds. Another version may
    /// have more of them: [`Self::begins`] checks that there are none.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let bytes = file.first_chunk::<HEADER_LEN>()?;
        let number = |at: usize| {
            let field = bytes[at..at + 8].try_into().expect("eight bytes of the header");
            u64::from_le_bytes(field)
        };
        let (magic, versions) = (number(0).to_le_bytes(), number(8));
        let (version, entry_len) = (versions as u32, (versions >> 32) as u32);
        let found = Self { magic, version, entry_len, numbers: [16, 24, 32].map(number) };
        (number(SUMMED) == Digest::of(&bytes[..SUMMED]).xxh3_64()).then_some(found)
    }

    /// True if the header of a file is exactly this one.
    pub(crate) fn begins(&self, file: &[u8]) -> bool {
        file.first_chunk() == Some(&self.encode())
    }
}
