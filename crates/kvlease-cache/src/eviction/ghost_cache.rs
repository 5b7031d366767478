//! One simulated cache: names of objects without their bytes.

use super::{EvictionPolicy, SLOT_BYTES, policy};
use crate::{config::EvictionKind, hash::NumberMap};

/// Names of objects, without their bytes, under a policy of the daemon.
#[derive(Debug)]
pub(crate) struct GhostCache {
    policy: Box<dyn EvictionPolicy>,
    /// Slot of each object, by the hash of its name.
    slots: NumberMap<u64, u32>,
    /// Hash and size in units of the object in each slot.
    objects: Vec<(u64, u32)>,
    vacant: Vec<u32>,
    units: u64,
    capacity: u64,
}

impl GhostCache {
    /// Bytes per object at most: policy, table of slots, object, and its place among the vacant slots.
    /// Lists may have twice their length in capacity.
    pub(crate) const OBJECT_BYTES: usize =
        SLOT_BYTES + 2 * (16 + 1) * 8 / 7 + 2 * size_of::<(u64, u32)>() + 2 * 4;

    pub(crate) fn new(eviction: EvictionKind) -> Self {
        Self {
            policy: policy(eviction),
            slots: NumberMap::default(),
            objects: Vec::new(),
            vacant: Vec::new(),
            units: 0,
            capacity: 0,
        }
    }

    /// Objects that it has.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Objects that it has or had room for in its tables.
    pub(crate) fn span(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.slots.contains_key(&hash)
    }

    /// Uses an object; false if it is not there.
    pub(crate) fn touch(&mut self, hash: u64) -> bool {
        let slot = self.slots.get(&hash);
        if let Some(slot) = slot {
            self.policy.touch(*slot);
        }
        slot.is_some()
    }

    /// Stores an object that is not there, and evicts others for it. One that is larger than the cache
    /// is left out.
    pub(crate) fn insert(&mut self, hash: u64, units: u32) {
        let units = units.max(1);
        if u64::from(units) > self.capacity {
            return;
        }
        self.evict_beyond(self.capacity - u64::from(units));
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => {
                self.objects.push((0, 0));
                (self.objects.len() - 1) as u32
            }
        };
        self.objects[slot as usize] = (hash, units);
        self.slots.insert(hash, slot);
        self.units += u64::from(units);
        self.policy.insert(slot, hash, units, 0);
    }

    /// Removes an object, if it is there.
    pub(crate) fn remove(&mut self, hash: u64) {
        if let Some(slot) = self.slots.get(&hash).copied() {
            self.policy.remove(slot);
            self.forget(slot);
        }
    }

    /// Gives the cache another capacity, in units.
    pub(crate) fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.evict_beyond(capacity);
    }

    /// Removes all objects whose hash is above this.
    pub(crate) fn narrow(&mut self, hash_max: u64) {
        // Collected first: their removal changes the table.
        let beyond: Vec<u64> = self.slots.keys().copied().filter(|hash| *hash > hash_max).collect();
        beyond.into_iter().for_each(|hash| self.remove(hash));
    }

    fn evict_beyond(&mut self, units: u64) {
        while self.units > units {
            let slot = self.policy.evict(0).expect("nothing is pinned");
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: u32) {
        let (hash, units) = self.objects[slot as usize];
        self.slots.remove(&hash);
        self.units -= u64::from(units);
        self.vacant.push(slot);
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        self.policy.check(&[self.len() as u64]);
        let units: u64 = self.slots.values().map(|s| u64::from(self.objects[*s as usize].1)).sum();
        assert_eq!(units, self.units, "units are counted");
        assert!(units <= self.capacity, "it has what it has room for");
        assert_eq!(self.slots.len() + self.vacant.len(), self.objects.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_any_size_fit_and_leave_in_the_order_of_the_policy() {
        let mut cache = GhostCache::new(EvictionKind::Lru);
        cache.resize(10);
        for (hash, units) in [(1, 4), (2, 4), (3, 2)] {
            cache.insert(hash, units);
        }
        assert!(cache.touch(1));
        cache.insert(4, 3);
        cache.check();
        assert_eq!([1, 2, 3, 4].map(|hash| cache.has(hash)), [true, false, true, true]);
        cache.insert(5, 11);
        assert!(!cache.has(5), "it is larger than the cache");
        cache.resize(6);
        cache.check();
        assert_eq!([1, 3, 4].map(|hash| cache.has(hash)), [false, false, true]);
        cache.remove(4);
        cache.remove(4);
        assert!(!cache.touch(4));
        cache.check();
    }

    #[test]
    fn a_smaller_sample_leaves_the_objects_that_are_in_it() {
        for eviction in EvictionKind::ALL {
            let mut cache = GhostCache::new(eviction);
            cache.resize(100);
            (0..100).for_each(|hash| cache.insert(hash, 1));
            cache.narrow(49);
            cache.check();
            assert_eq!(cache.len(), 50);
            (100..150).for_each(|hash| cache.insert(hash, 1));
            cache.check();
            assert_eq!(cache.span(), 100, "slots are used again");
        }
    }
}
