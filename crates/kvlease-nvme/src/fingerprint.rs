//! Keyed hashes: fingerprints of names, and the checks of blocks that only this store can write.

use std::{fmt, hash::Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Key of a store's hashes, drawn when the file is made. Clients choose names and bytes, so without it
/// neither a collision of names nor a block that looks like the store's own can be computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret([u8; 16]);

/// 128-bit hash of a bucket and a key. Two names of one store have the same one with a probability
/// that no number of objects makes worth a thought; a load compares the names all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fingerprint(pub(crate) u128);

impl Secret {
    pub(crate) const LEN: usize = 16;

    pub(crate) const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    pub(crate) fn fingerprint(&self, bucket: &str, key: &str) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        // The length of the bucket tells where the key starts.
        hasher.write(&(bucket.len() as u64).to_le_bytes());
        hasher.write(bucket.as_bytes());
        hasher.write(key.as_bytes());
        Fingerprint(hasher.finish128().as_u128())
    }

    /// Check of a block's header.
    pub(crate) fn check(&self, header: &[&[u8]]) -> [u8; 16] {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        header.iter().for_each(|part| hasher.write(part));
        hasher.finish128().as_bytes()
    }
}

/// The secret stays one in logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_depend_on_the_secret_and_on_where_the_key_starts() {
        let secret = Secret::new([7; 16]);
        assert_eq!(secret.fingerprint("ab", "c"), secret.fingerprint("ab", "c"));
        assert_ne!(secret.fingerprint("ab", "c"), secret.fingerprint("a", "bc"));
        assert_ne!(secret.fingerprint("ab", "c"), Secret::new([8; 16]).fingerprint("ab", "c"));
    }
}
