//! Simulation of a cache by its policy alone.

use super::{EvictionPolicy, policy};
use crate::{config::EvictionKind, hash::NumberMap};

/// Cache of names without bytes, each of which takes one unit of room, under the policy of the daemon.
#[derive(Debug)]
pub struct CacheSimulation {
    policy: Box<dyn EvictionPolicy>,
    /// Slot of each name.
    slots: NumberMap<u64, u32>,
    /// Name in each slot that was taken once.
    names: Vec<u64>,
    capacity: usize,
}

impl CacheSimulation {
    /// An empty cache for this many names; one at least.
    pub fn new(eviction: EvictionKind, capacity: u32) -> Self {
        let capacity = capacity.max(1) as usize;
        Self { policy: policy(eviction), slots: NumberMap::default(), names: Vec::new(), capacity }
    }

    /// Whether the cache has a name. This is no use of it.
    pub fn has(&self, name: u64) -> bool {
        self.slots.contains_key(&name)
    }

    /// Reads a name that the cache has, or stores it. A full cache evicts one for it.
    pub fn ask(&mut self, name: u64) {
        if let Some(slot) = self.slots.get(&name) {
            self.policy.touch(*slot);
            return;
        }
        let slot = if self.names.len() < self.capacity {
            self.names.push(name);
            (self.names.len() - 1) as u32
        } else {
            let slot = self.policy.evict(0).expect("nothing is pinned");
            self.slots.remove(&std::mem::replace(&mut self.names[slot as usize], name));
            slot
        };
        self.slots.insert(name, slot);
        self.policy.insert(slot, hash(name), 1, 0);
    }
}

/// Number without an order, as the hash of a name is.
fn hash(name: u64) -> u64 {
    let product = u128::from(name ^ 0x9e37_79b9_7f4a_7c15) * 0xe703_7ed1_a0b4_28db;
    (product >> 64) as u64 ^ product as u64
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
