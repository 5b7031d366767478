//! Hashing of names, with a key that the user of the catalog hands in.
//!
//! Clients choose names, so the hash is keyed: without the seed, names that collide cannot be
//! computed. With it, every table of the catalog is the same in every run.

use std::{
    hash::{Hash, Hasher},
    num::NonZeroU64,
};

use foldhash::{
    SharedSeed,
    fast::{FixedState, FoldHasher},
};
use hashbrown::HashTable;
use kvlease_types::KeyGroup;

/// Table by numbers that no client chooses, whose hash needs no key.
#[expect(clippy::disallowed_types, reason = "the hasher is named, and is the same in every run")]
pub(crate) type NumberMap<K, V> = hashbrown::HashMap<K, V, FixedState>;

/// Reads what the look-up of a hash begins with: that of several hashes does not wait for one another.
pub(crate) fn prefetch(table: &HashTable<u32>, hash: u64) -> u32 {
    let mut seen = 0;
    table.find(hash, |number| {
        seen ^= *number;
        false
    });
    seen
}

/// Keyed hasher for the names of buckets and objects.
#[derive(Clone, Debug)]
pub(crate) struct NameHasher {
    seed: u64,
    shared: SharedSeed,
}

impl NameHasher {
    pub(crate) const fn new(seed: u64) -> Self {
        // Both keys are secret: with known multipliers, names collide whatever the seed is. The
        // constant keeps a seed of zero from making keys of zero.
        let seed = seed ^ 0x9e37_79b9_7f4a_7c15;
        Self { seed, shared: SharedSeed::from_u64(seed.rotate_left(32)) }
    }

    /// Hash of one name.
    pub(crate) fn one(&self, name: &str) -> u64 {
        self.hash(name)
    }

    /// Hash of an object's two names.
    pub(crate) fn pair(&self, bucket: &str, key: &str) -> u64 {
        self.hash((bucket, key))
    }

    /// Hash of a group of keys in a bucket.
    pub(crate) fn group(&self, bucket: &str, group: &KeyGroup<'_>) -> NonZeroU64 {
        NonZeroU64::new(self.hash((bucket, group))).unwrap_or(NonZeroU64::MIN)
    }

    fn hash(&self, value: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        value.hash(&mut hasher);
        hasher.finish()
    }
}
