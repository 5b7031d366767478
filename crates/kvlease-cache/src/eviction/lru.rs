//! Least recently used.

use super::{EvictionPolicy, Links, List, list::grow};

/// Orders objects by the end of their last use.
///
/// A pinned object is in use and in no list; unpinned, it is the most recently used one.
#[derive(Default, Debug)]
pub(super) struct Lru {
    links: Links,
    list: List,
    /// Per slot: whether the object is in the list.
    listed: Vec<bool>,
}

impl EvictionPolicy for Lru {
    fn insert(&mut self, slot: u32, _hash: u64, _weight: u32) {
        if slot as usize >= self.listed.len() {
            grow(&mut self.listed, slot as usize + 1, false);
        }
        self.unpin(slot);
    }

    fn touch(&mut self, slot: u32) {
        if self.listed[slot as usize] {
            self.list.unlink(&mut self.links, slot);
            self.list.push_front(&mut self.links, slot);
        }
    }

    fn pin(&mut self, slot: u32) {
        self.list.unlink(&mut self.links, slot);
        self.listed[slot as usize] = false;
    }

    fn unpin(&mut self, slot: u32) {
        self.list.push_front(&mut self.links, slot);
        self.listed[slot as usize] = true;
    }

    fn remove(&mut self, slot: u32) {
        if self.listed[slot as usize] {
            self.pin(slot);
        }
    }

    fn evict(&mut self) -> Option<u32> {
        let slot = self.list.back()?;
        self.pin(slot);
        Some(slot)
    }

    fn check(&self, unpinned: u64) {
        self.list.check(&self.links);
        assert_eq!(self.list.len(), unpinned, "unpinned objects are in the list");
        assert!(self.list.iter(&self.links).all(|slot| self.listed[slot as usize]));
        assert_eq!(self.listed.iter().filter(|listed| **listed).count() as u64, unpinned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lru: &Lru) -> Vec<u32> {
        lru.list.iter(&lru.links).collect()
    }

    fn lru_of(slots: std::ops::Range<u32>) -> Lru {
        let mut lru = Lru::default();
        for slot in slots {
            lru.insert(slot, u64::from(slot), 1);
        }
        lru
    }

    #[test]
    fn what_was_used_last_leaves_last() {
        let mut lru = lru_of(0..4);
        lru.touch(1);
        assert_eq!(order(&lru), [0, 2, 3, 1]);
        lru.pin(0);
        lru.touch(0);
        lru.check(3);
        assert_eq!(order(&lru), [2, 3, 1]);
        lru.unpin(0);
        assert_eq!(order(&lru), [2, 3, 1, 0]);
        assert_eq!(lru.evict(), Some(2));
        lru.remove(1);
        assert_eq!(order(&lru), [3, 0]);
    }

    #[test]
    fn pinned_objects_are_no_victims() {
        let mut lru = lru_of(0..2);
        lru.pin(0);
        assert_eq!(lru.evict(), Some(1));
        assert_eq!(lru.evict(), None);
        lru.remove(0);
        lru.check(0);
    }

    #[test]
    fn a_scan_flushes_the_hot_set() {
        let mut lru = lru_of(0..10);
        for slot in 0..10 {
            lru.touch(slot);
        }
        for slot in 10..110 {
            lru.insert(slot, u64::from(slot), 1);
            assert!(lru.evict().is_some());
        }
        assert!(order(&lru).iter().all(|slot| *slot >= 100), "{:?}", order(&lru));
    }
}
