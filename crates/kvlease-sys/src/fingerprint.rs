//! Fingerprints of names: 128 bits, keyed with a secret of the daemon's incarnation.
//!
//! The published index names objects by fingerprint alone. Without the key no client finds two names
//! with one fingerprint other than by chance. The key is known to the daemon and to clients of the
//! fast lane.

use std::{fmt, hash::Hasher};

use siphasher::sip128::{Hasher128, SipHasher13, SipHasher24};

/// Fingerprint of the name of an object: bucket and key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Fingerprint {
    /// The first 64 bits.
    pub low: u64,
    /// The other 64 bits.
    pub high: u64,
}

/// Secret that fingerprints are made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FingerprintKey([u8; Self::LEN]);

/// Fingerprints of the keys of one bucket.
#[derive(Clone, Copy)]
pub struct KeyFingerprints(SipHasher13);

impl FingerprintKey {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// The key of these bytes.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub const fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    /// Fingerprints of the keys of this bucket. They have a key of their own, made from the name of
    /// the bucket, so that it is not hashed again for each of them.
    pub fn of_bucket(&self, bucket: &str) -> KeyFingerprints {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(bucket.as_bytes());
        KeyFingerprints(SipHasher13::new_with_key(&hasher.finish128().as_bytes()))
    }
}

impl KeyFingerprints {
    /// Fingerprint of the object of this key.
    pub fn of_key(&self, key: &str) -> Fingerprint {
        let mut hasher = self.0;
        hasher.write(key.as_bytes());
        let hash = hasher.finish128();
        Fingerprint { low: hash.h1, high: hash.h2 }
    }
}

/// The key stays out of logs.
impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintKey").finish_non_exhaustive()
    }
}

/// The key stays out of logs.
impl fmt::Debug for KeyFingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFingerprints").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_secret_bucket_and_key() {
        let key = FingerprintKey::new([7; 16]);
        let of = |key: FingerprintKey, bucket, name| key.of_bucket(bucket).of_key(name);
        let one = of(key, "bucket", "key");
        assert_eq!(one, of(key, "bucket", "key"));
        for other in [
            of(FingerprintKey::new([8; 16]), "bucket", "key"),
            of(key, "bucke", "tkey"),
            of(key, "bucketkey", ""),
            of(key, "bucket", "key2"),
            of(key, "key", "bucket"),
        ] {
            assert!(one.low != other.low && one.high != other.high);
        }
    }

    /// Daemon and clients may be of different builds.
    #[test]
    fn the_fingerprint_is_the_golden_one() {
        let key = FingerprintKey::new(std::array::from_fn(|at| at as u8));
        let found = key.of_bucket("kv").of_key("model@1@0@abc@bf16");
        assert_eq!((found.low, found.high), GOLDEN, "{found:x?}");
    }

    const GOLDEN: (u64, u64) = (0x6bc9_0833_8607_e454, 0xaf2e_6652_2c90_5980);

    #[test]
    fn secrets_stay_out_of_logs() {
        let key = FingerprintKey::new([171; 16]);
        for text in [format!("{key:?}"), format!("{:?}", key.of_bucket("kv"))] {
            assert!(!text.contains("171") && !text.contains("ab"), "{text}");
        }
    }
}
