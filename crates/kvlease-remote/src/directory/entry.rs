//! Entry of the directory: fingerprints that one node published, under the numbers of the
//! publications that it covers.
//!
//! Its name is `NODE/FIRST-LAST`, the numbers with 16 hexadecimal digits.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `kvldir\r\n` |
//! | 8..12 | version of the format, 1 |
//! | 12..16 | zero |
//! | 16..24 | number of fingerprints |
//! | 24..32 | XXH3-64 of the bytes before and behind this field |
//! | 32.. | the fingerprints, 8 bytes each |

use std::fmt;

use kvlease_sys::Digest;

const MAGIC: [u8; 8] = *b"kvldir\r\n";
const VERSION: u32 = 1;
const SUM: usize = 24;
const HEADER_LEN: usize = 32;
const FINGERPRINT_LEN: usize = 8;

/// Checksum of an object's name in the store.
pub(super) type Fingerprint = u64;

/// Fingerprint of a name in the store.
pub(super) fn fingerprint(name: &str) -> Fingerprint {
    Digest::of(name.as_bytes()).xxh3_64()
}

/// Name of an entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Entry {
    pub(super) node: String,
    /// The first publication that it covers.
    pub(super) first: u64,
    /// The last one.
    pub(super) last: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}-{:016x}", self.node, self.first, self.last)
    }
}

impl Entry {
    /// Reads a name.
    pub(super) fn read(name: &str) -> Option<Self> {
        let (node, numbers) = name.split_once('/')?;
        let (first, last) = numbers.split_once('-')?;
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let entry = Self { node: node.to_owned(), first: number(first)?, last: number(last)? };
        (entry.first <= entry.last && entry.to_string() == name).then_some(entry)
    }
}

/// The bytes of an entry with these fingerprints.
pub(super) fn encode(fingerprints: &[Fingerprint]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + FINGERPRINT_LEN * fingerprints.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u64::from(VERSION).to_le_bytes());
    bytes.extend_from_slice(&(fingerprints.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend(fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
    let sum = checksum(&bytes);
    bytes[SUM..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The fingerprints of an entry; `None` if it is corrupt or of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Fingerprint>> {
    let (header, fingerprints) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let number = |at: usize| {
        u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes of the header"))
    };
    let counted = (fingerprints.len() / FINGERPRINT_LEN) as u64;
    let is_ours = header[..8] == MAGIC
        && number(8) == u64::from(VERSION)
        && number(16) == counted
        && fingerprints.len() % FINGERPRINT_LEN == 0
        && number(SUM) == checksum(bytes);
    let fingerprints = fingerprints.chunks_exact(FINGERPRINT_LEN);
    is_ours.then(|| {
        let read = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a chunk of eight"));
        fingerprints.map(read).collect()
    })
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.update(&bytes[..SUM]);
    digest.update(&bytes[HEADER_LEN..]);
    digest.finish().xxh3_64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_not() {
        let entry = Entry { node: "a%2Fb".to_owned(), first: 1, last: 0x2f };
        assert_eq!(entry.to_string(), "a%2Fb/0000000000000001-000000000000002f");
        assert_eq!(Entry::read(&entry.to_string()), Some(entry));
        for name in ["", "a", "a/1-2", "a/0000000000000002-0000000000000001", "a/b/1-2"] {
            assert_eq!(Entry::read(name), None, "{name}");
        }
    }

    #[test]
    fn entries_keep_their_bytes() {
        let bytes = encode(&[1, 0x0203]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(decode(&bytes), Some(vec![1, 0x0203]));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
    }

    const GOLDEN: &str = "6b766c6469720d0a010000000000000002000000000000008e8eaa3aa2ba74f8\
                          01000000000000000302000000000000";

    #[test]
    fn no_entry_with_a_changed_byte_is_taken() {
        let bytes = encode(&[1, 0x0203]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(decode(&changed), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn fingerprints_are_those_that_other_nodes_make() {
        assert_eq!(fingerprint("kvlease/v1/bucket/key"), GOLDEN_FINGERPRINT);
    }

    const GOLDEN_FINGERPRINT: u64 = 0xd25c_4903_db8b_974d;
}
