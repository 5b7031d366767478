//! Least recently used.

use super::{EvictionPolicy, HandOver, Links, List, list};

/// Orders objects by the end of their last use.
///
/// A pinned object is in use and in no list; unpinned, it is the most recently used one.
#[derive(Default, Debug)]
pub(super) struct Lru {
    links: Links,
    /// By class.
    lists: Vec<List>,
    nodes: Vec<Node>,
}

/// State of one object in the policy.
#[derive(Clone, Copy, Debug)]
struct Node {
    class: u8,
    /// Whether the object is in the list of its class.
    listed: bool,
}

const NOWHERE: Node = Node { class: 0, listed: false };

impl EvictionPolicy for Lru {
    fn insert(&mut self, slot: u32, _hash: u64, _weight: u32, class: u8) {
        let node = Node { class, listed: false };
        if slot as usize >= self.nodes.len() {
            list::grow(&mut self.nodes, slot as usize + 1, NOWHERE);
        }
        self.nodes[slot as usize] = node;
        list::of_class(&mut self.lists, class);
        self.unpin(slot);
    }

    fn touch(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        if node.listed {
            let list = &mut self.lists[usize::from(node.class)];
            list.unlink(&mut self.links, slot);
            list.push_front(&mut self.links, slot);
        }
    }

    fn pin(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.listed = false;
        self.lists[usize::from(node.class)].unlink(&mut self.links, slot);
    }

    fn unpin(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.listed = true;
        self.lists[usize::from(node.class)].push_front(&mut self.links, slot);
    }

    fn remove(&mut self, slot: u32) {
        if self.nodes[slot as usize].listed {
            self.pin(slot);
        }
    }

    fn reserve(&mut self, slots: usize) {
        if slots > self.nodes.len() {
            list::grow(&mut self.nodes, slots, NOWHERE);
        }
        self.links.reserve(slots);
    }

    fn evict(&mut self, class: u8) -> Option<u32> {
        let slot = self.lists.get(usize::from(class))?.back()?;
        self.pin(slot);
        Some(slot)
    }

    fn hand_over(&mut self, class: u8) -> HandOver {
        HandOver::of(self.evict(class))
    }

    fn check(&self, unpinned: &[u64]) {
        for (class, list) in self.lists.iter().enumerate() {
            list.check(&self.links);
            let expected = unpinned.get(class).copied().unwrap_or(0);
            assert_eq!(list.len(), expected, "unpinned objects are in the list");
            let mut nodes = list.iter(&self.links).map(|slot| self.nodes[slot as usize]);
            assert!(nodes.all(|node| node.listed && usize::from(node.class) == class));
        }
        let listed = self.nodes.iter().filter(|node| node.listed).count() as u64;
        assert_eq!(listed, unpinned.iter().sum::<u64>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lru: &Lru) -> Vec<u32> {
        lru.lists[0].iter(&lru.links).collect()
    }

    fn lru_of(slots: std::ops::Range<u32>) -> Lru {
        let mut lru = Lru::default();
        for slot in slots {
            lru.insert(slot, u64::from(slot), 1, 0);
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
        lru.check(&[3]);
        assert_eq!(order(&lru), [2, 3, 1]);
        lru.unpin(0);
        assert_eq!(order(&lru), [2, 3, 1, 0]);
        assert_eq!(lru.evict(0), Some(2));
        lru.remove(1);
        assert_eq!(order(&lru), [3, 0]);
    }

    #[test]
    fn pinned_objects_are_no_victims() {
        let mut lru = lru_of(0..2);
        lru.pin(0);
        assert_eq!(lru.evict(0), Some(1));
        assert_eq!(lru.evict(0), None);
        lru.remove(0);
        lru.check(&[0]);
    }

    #[test]
    fn each_class_has_an_order_of_its_own() {
        let mut lru = lru_of(0..2);
        (2..4).for_each(|slot| lru.insert(slot, u64::from(slot), 1, 3));
        lru.check(&[2, 0, 0, 2]);
        lru.touch(2);
        assert_eq!([1, 3, 200].map(|class| lru.evict(class)), [None, Some(3), None]);
        lru.check(&[2, 0, 0, 1]);
        // A slot that has an object of another class.
        lru.insert(3, 3, 1, 0);
        assert_eq!(order(&lru), [0, 1, 3]);
        lru.check(&[3, 0, 0, 1]);
    }

    #[test]
    fn a_scan_flushes_the_hot_set() {
        let mut lru = lru_of(0..10);
        for slot in 0..10 {
            lru.touch(slot);
        }
        for slot in 10..110 {
            lru.insert(slot, u64::from(slot), 1, 0);
            assert!(lru.evict(0).is_some());
        }
        assert!(order(&lru).iter().all(|slot| *slot >= 100), "{:?}", order(&lru));
    }
}
