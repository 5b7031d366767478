//! The running checksum of an object's bytes.

use std::{fmt, hash::Hasher};

use kvlease_types::Checksum;
use twox_hash::XxHash3_64;

/// A running XXH3-64, fed piece by piece in the order of the object's bytes.
///
/// The function was chosen by measurement (`benches/copy.rs`): on bytes in the cache it takes a
/// third of the time of CRC-64/NVME, whose implementation has no 256-bit form, on processors
/// without AVX-512, and about the same on others.
#[derive(Clone)]
pub struct Digest(XxHash3_64);

impl Digest {
    /// The digest of no bytes yet.
    pub fn new() -> Self {
        Self(XxHash3_64::new())
    }

    /// The checksum of bytes that are all there.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum::new(xxh3(bytes))
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of everything taken in so far.
    pub fn finish(&self) -> Checksum {
        Checksum::new(self.0.finish())
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}

/// XXH3-64 of bytes that are all there, as a number.
pub(crate) fn xxh3(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_xxh3_64() {
        // The first is the reference implementation's value for no bytes.
        assert_eq!(Digest::of(b""), Checksum::new(0x2d06_8005_38d3_94c2));
        assert_eq!(Digest::new().finish(), Digest::of(b""));
        for len in [1, 16, 128, 240, 241, 4096, 100_001] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| (i * 31 % 251) as u8).collect();
            let other_implementation = xxhash_rust::xxh3::xxh3_64(&bytes);
            assert_eq!(Digest::of(&bytes), Checksum::new(other_implementation), "len={len}");
        }
    }

    #[test]
    fn pieces_sum_up_to_the_whole() {
        let bytes: Vec<u8> =
            (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for piece in [1, 7, 63, 64, 4096, 65_537] {
            let mut digest = Digest::new();
            bytes.chunks(piece).for_each(|part| digest.update(part));
            assert_eq!(digest.finish(), Digest::of(&bytes), "pieces of {piece}");
        }
    }
}
