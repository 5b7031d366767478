//! Contents of objects: bytes that encode their key, their version and their position.
//!
//! A payload is words of eight bytes, little-endian: the version, the length, and then numbers
//! that follow from key, version, length and position. A byte of another object, of another
//! version or from another position is therefore found, wherever it stands.

use std::fmt;

use kvlease_testing::{STEP, mix};

/// Bytes of one word.
pub const WORD: usize = 8;

/// Bytes that name version and length.
const HEAD: usize = 2 * WORD;

/// Payload of one version of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload {
    seed: u64,
    version: u64,
    len: usize,
}

/// Difference between bytes that were read and the payload that their head names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongBytes {
    /// Number of wrong bytes.
    pub count: u64,
    /// Position of the first wrong byte.
    pub first: usize,
    /// Version that the head names.
    pub version: u64,
    /// Length that the head names.
    pub len_named: u64,
    /// Length that was read.
    pub len: usize,
}

impl fmt::Display for WrongBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, first, version, len_named, len } = self;
        write!(
            f,
            "count=`{count}` first=`{first}` version=`{version}` len_named=`{len_named}` len=`{len}`"
        )
    }
}

impl Payload {
    /// Payload of this version of the key.
    ///
    /// # Panics
    ///
    /// If it is too short to name its version and its length.
    pub fn new(key: &str, version: u64, len: usize) -> Self {
        assert!(len >= HEAD, "a payload has at least {HEAD} bytes, len=`{len}`");
        let seed = key.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)));
        Self { seed: mix(seed ^ mix(version) ^ (len as u64).rotate_left(32)), version, len }
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a payload is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// All bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len + WORD);
        for place in 0..self.len.div_ceil(WORD) {
            bytes.extend_from_slice(&self.word(place));
        }
        bytes.truncate(self.len);
        bytes
    }

    /// Version of the bytes that were read of a key, after a check of each of them.
    ///
    /// # Errors
    ///
    /// [`WrongBytes`] unless every byte is of one version of this key, and none is missing.
    pub fn verify(key: &str, bytes: &[u8]) -> Result<u64, WrongBytes> {
        let named = |place: usize| {
            let word = bytes.get(place * WORD..(place + 1) * WORD)?;
            Some(u64::from_le_bytes(word.try_into().ok()?))
        };
        let (version, len_named) = (named(0).unwrap_or(0), named(1).unwrap_or(0));
        let wrong =
            |count, first| WrongBytes { count, first, version, len_named, len: bytes.len() };
        if len_named != bytes.len() as u64 || bytes.len() < HEAD {
            return Err(wrong(bytes.len() as u64, 0));
        }
        let expected = Self::new(key, version, bytes.len());
        let (mut count, mut first) = (0, 0);
        for (place, word) in bytes.chunks(WORD).enumerate() {
            let right = expected.word(place);
            if *word != right[..word.len()] {
                first = if count == 0 { place * WORD } else { first };
                count += word.iter().zip(right).filter(|(byte, right)| *byte != right).count();
            }
        }
        if count == 0 { Ok(version) } else { Err(wrong(count as u64, first)) }
    }

    fn word(&self, place: usize) -> [u8; WORD] {
        match place {
            0 => self.version,
            1 => self.len as u64,
            _ => mix(self.seed ^ (place as u64).wrapping_mul(STEP)),
        }
        .to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_verifies_as_its_own_key_and_version_only() {
        for len in [16, 17, 1024, 4096, 5003] {
            let bytes = Payload::new("a", 7, len).bytes();
            assert_eq!(bytes.len(), len);
            assert_eq!(Payload::verify("a", &bytes), Ok(7));
            assert!(len <= HEAD || Payload::verify("b", &bytes).is_err());
        }
    }

    #[test]
    fn every_wrong_byte_is_found() {
        let good = Payload::new("key", 3, 203).bytes();
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 0x40;
            assert!(Payload::verify("key", &bytes).is_err(), "place {place}");
        }
    }

    #[test]
    fn a_torn_or_shifted_or_cut_payload_is_found() {
        let (old, new) =
            (Payload::new("key", 3, 8192).bytes(), Payload::new("key", 4, 8192).bytes());
        let torn = [&old[..4096], &new[4096..]].concat();
        assert_eq!(Payload::verify("key", &torn).unwrap_err().first, 4096);
        let shifted = [&old[..4096], &old[..4096]].concat();
        assert!(Payload::verify("key", &shifted).is_err());
        assert!(Payload::verify("key", &old[..8191]).is_err());
        assert!(Payload::verify("key", &[]).is_err());
    }
}
