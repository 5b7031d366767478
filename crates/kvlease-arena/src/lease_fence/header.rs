//! Header of the lease fence; its byte table is in the parent module.

use kvlease_types::ByteSize;

use super::layout::{DEADLINE_LEN, MAGIC, REGION_SIZE, VERSION};
use crate::file_header::{FileHeader, HEADER_LEN};

/// Fields in which lease fences of one version differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Length of the arena.
    pub(super) capacity: ByteSize,
    /// Boot that the deadlines count from.
    pub(super) boot: u64,
}

/// Meaning of an existing header for a daemon that expects a given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Holds,
    OtherBoot,
    Unreadable,
}

impl Header {
    /// Bytes of the header.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        self.fields().encode()
    }

    /// Compares an existing header with this one.
    pub(super) fn judge(&self, existing: &[u8]) -> Verdict {
        let Some(FileHeader { numbers: [_, _, boot], .. }) = FileHeader::decode(existing) else {
            return Verdict::Unreadable;
        };
        if !(Self { boot, ..*self }).fields().begins(existing) {
            Verdict::Unreadable
        } else if boot == self.boot {
            Verdict::Holds
        } else {
            Verdict::OtherBoot
        }
    }

    fn fields(&self) -> FileHeader {
        FileHeader {
            magic: MAGIC,
            version: VERSION,
            entry_len: DEADLINE_LEN as u32,
            numbers: [REGION_SIZE.bytes(), self.capacity.bytes(), self.boot],
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
        golden.resize(HEADER_LEN, 0);
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
        for at in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert_eq!(HEADER.judge(&bytes), Verdict::Unreadable, "byte {at}");
        }
        assert_eq!(HEADER.judge(&bytes[..20]), Verdict::Unreadable);
    }
}
