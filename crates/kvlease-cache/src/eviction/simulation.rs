//! Simulation of a cache by its policy alone.

use super::GhostCache;
use crate::config::EvictionKind;

/// Cache of names without bytes, each of which takes one unit of room, under the policy of the daemon.
#[derive(Debug)]
pub struct CacheSimulation(GhostCache);

impl CacheSimulation {
    /// An empty cache for this many names; one at least.
    pub fn new(eviction: EvictionKind, capacity: u32) -> Self {
        let mut cache = GhostCache::new(eviction);
        cache.resize(capacity.max(1).into());
        Self(cache)
    }

    /// Whether the cache has a name. This is no use of it.
    pub fn has(&self, name: u64) -> bool {
        self.0.has(hash(name))
    }

    /// Reads a name that the cache has, or stores it. A full cache evicts one for it.
    pub fn ask(&mut self, name: u64) {
        let hash = hash(name);
        if !self.0.touch(hash) {
            self.0.insert(hash, 1);
        }
    }
}

/// Number without an order, as the hash of a name is. No two names have the same one (the end of
/// MurmurHash3).
const fn hash(name: u64) -> u64 {
    let mixed = (name ^ name >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_has_as_many_names_as_it_has_room_for() {
        for eviction in EvictionKind::ALL {
            let mut cache = CacheSimulation::new(eviction, 10);
            for name in 0..1000 {
                cache.ask(name);
                cache.ask(name / 2);
                assert!(cache.has(name / 2));
            }
            assert_eq!((0..1000).filter(|name| cache.has(*name)).count(), 10, "{eviction}");
        }
    }

    #[test]
    fn the_policy_decides_what_leaves() {
        let mut cache = CacheSimulation::new(EvictionKind::Lru, 2);
        [1, 2, 1, 3].into_iter().for_each(|name| cache.ask(name));
        assert_eq!([1, 2, 3].map(|name| cache.has(name)), [true, false, true]);
    }
}
