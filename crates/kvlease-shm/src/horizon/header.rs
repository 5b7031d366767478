//! The header of the horizon file; its byte table is in the parent module.

use kvlease_types::ByteSize;

use super::{DEADLINE_LEN, REGION_SIZE};
use crate::digest::xxh3;

/// Where the deadlines start.
pub(super) const HEADER_LEN: u64 = 4096;

const MAGIC: [u8; 8] = *b"KVLHORZN";
/// Raise it when the layout changes: an older daemon's file then counts as unreadable.
const VERSION: u32 = 1;
const SUMMED: usize = 40;
const BOOT: std::ops::Range<usize> = 32..40;

/// What differs between horizons of the same version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The length of the arena.
    pub(super) capacity: ByteSize,
    /// The boot that the deadlines count from.
    pub(super) boot: u64,
}

/// What an existing header means to a daemon that wants a given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Holds,
    OtherBoot,
    Unreadable,
}

impl Header {
    /// The bytes of the header.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(DEADLINE_LEN as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&REGION_SIZE.bytes().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.capacity.bytes().to_le_bytes());
        bytes[BOOT].copy_from_slice(&self.boot.to_le_bytes());
        let sum = xxh3(&bytes[..SUMMED]);
        bytes[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Compares an existing header with this one.
    pub(super) fn judge(&self, existing: &[u8]) -> Verdict {
        let Some(boot) = existing.get(BOOT).and_then(|bytes| bytes.try_into().ok()) else {
            return Verdict::Unreadable;
        };
        let boot = u64::from_le_bytes(boot);
        if existing != (Self { boot, ..*self }).encode() {
            Verdict::Unreadable
        } else if boot == self.boot {
            Verdict::Holds
        } else {
            Verdict::OtherBoot
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { capacity: ByteSize::gib(1), boot: 0x0123_4567_89ab_cdef };

    #[test]
    fn the_header_is_the_golden_one() {
        let mut golden = b"KVLHORZN\
            \x01\0\0\0\
            \x08\0\0\0\
            \0\0\x20\0\0\0\0\0\
            \0\0\0\x40\0\0\0\0\
            \xef\xcd\xab\x89\x67\x45\x23\x01"
            .to_vec();
        golden.extend(GOLDEN_SUM.to_le_bytes());
        golden.resize(HEADER_LEN as usize, 0);
        assert!(HEADER.encode()[..] == golden, "{:x?}", &HEADER.encode()[..48]);
    }

    const GOLDEN_SUM: u64 = 0x66ef_3304_5e75_1650;

    #[test]
    fn only_a_whole_header_of_this_version_is_read() {
        let bytes = HEADER.encode();
        assert_eq!(HEADER.judge(&bytes), Verdict::Holds);
        assert_eq!(Header { boot: 1, ..HEADER }.judge(&bytes), Verdict::OtherBoot);
        let larger = Header { capacity: ByteSize::gib(2), ..HEADER };
        assert_eq!(larger.judge(&bytes), Verdict::Unreadable);
        for damaged in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[damaged] ^= 1;
            assert_eq!(HEADER.judge(&bytes), Verdict::Unreadable, "byte {damaged}");
        }
        assert_eq!(HEADER.judge(&bytes[..20]), Verdict::Unreadable);
    }
}
