//! S3-FIFO: Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction",
//! SOSP 2023.
//!
//! New objects enter a small queue of a tenth of the bytes and leave it soon, unless they were
//! asked for meanwhile: then they move to the main queue. What left the small queue is remembered
//! by its hash (the ghost) and enters the main queue at once if it is stored again. The main queue
//! gives objects another round for every time they were asked for, three at most. A scan of
//! objects that no client asks for again passes through the small queue alone. Each owner of objects has a ghost of
//! its own, as long as it has objects.

use super::{EvictionPolicy, HandOver, Links, List, list, per_owner::PerOwner};
use crate::ghost::Ghost;

/// The small queue gets one part in this many of the bytes.
const SMALL_PART: u64 = 10;

/// Most uses that are counted.
const USES_MAX: u8 = 3;

/// Uses in the small queue that earn a place in the main one. The paper asks for two, which suits
/// workloads with many quick repeats; here a second request for a prefix is what counts.
const USES_TO_STAY: u8 = 1;

/// Memory per slot, for the accounting: node, links, and the ghosts, which are together never longer than
/// there are slots. An eighth is growth slack.
pub(super) const SLOT_BYTES: usize =
    (size_of::<Node>() + size_of::<list::Link>()) * 9 / 8 + Ghost::ENTRY_BYTES;

/// State of one object in the policy.
#[derive(Clone, Copy, Debug)]
struct Node {
    hash: u64,
    weight: u32,
    place: Place,
    uses: u8,
    pinned: bool,
    class: u8,
}

/// Where an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Not in the policy.
    Nowhere,
    Small,
    Main,
    /// In no queue: it was pinned when its turn came, and waits to be unpinned.
    Aside,
}

const NOWHERE: Node =
    Node { hash: 0, weight: 0, place: Place::Nowhere, uses: 0, pinned: false, class: 0 };

/// See the module.
#[derive(Default, Debug)]
pub(super) struct S3Fifo {
    nodes: Vec<Node>,
    links: Links,
    /// By class.
    queues: Vec<Queues>,
    owned: PerOwner<Owned>,
}

/// State of one owner's objects.
#[derive(Default, Debug)]
struct Owned {
    /// Those that left lately.
    ghost: Ghost,
    /// Objects of the owner in the policy, wherever they are.
    len: usize,
}

/// The queues of one class.
#[derive(Default, Debug)]
struct Queues {
    small: Queue,
    main: Queue,
}

/// A queue that knows its weight.
#[derive(Default, Debug)]
struct Queue {
    list: List,
    weight: u64,
}

impl EvictionPolicy for S3Fifo {
    fn assign(&mut self, class: u8, owner: u8) {
        self.owned.assign(class, owner);
    }

    fn insert(&mut self, slot: u32, hash: u64, weight: u32, class: u8) {
        if slot as usize >= self.nodes.len() {
            list::grow(&mut self.nodes, slot as usize + 1, NOWHERE);
        }
        // An object without bytes still takes a place.
        let weight = weight.max(1);
        self.nodes[slot as usize] = Node { hash, weight, class, ..NOWHERE };
        list::of_class(&mut self.queues, class);
        let owned = self.owned.of_mut(class);
        owned.len += 1;
        let place = if owned.ghost.take(hash) { Place::Main } else { Place::Small };
        self.enqueue(slot, place);
    }

    fn touch(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.uses = (node.uses + 1).min(USES_MAX);
    }

    fn pin(&mut self, slot: u32) {
        self.nodes[slot as usize].pinned = true;
    }

    fn unpin(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.pinned = false;
        if node.place == Place::Aside {
            self.enqueue(slot, Place::Main);
        }
    }

    fn remove(&mut self, slot: u32) {
        self.dequeue(slot);
        self.forget(slot);
    }

    fn reweigh(&mut self, slot: u32, weight: u32) {
        let node = &mut self.nodes[slot as usize];
        let before = std::mem::replace(&mut node.weight, weight.max(1));
        let (place, class, weight) = (node.place, node.class, node.weight);
        let queues = &mut self.queues[usize::from(class)];
        let queue = match place {
            Place::Small => &mut queues.small,
            Place::Main => &mut queues.main,
            Place::Aside | Place::Nowhere => return,
        };
        queue.weight = queue.weight - u64::from(before) + u64::from(weight);
    }

    fn reserve(&mut self, slots: usize) {
        if slots > self.nodes.len() {
            list::grow(&mut self.nodes, slots, NOWHERE);
        }
        self.links.reserve(slots);
    }

    fn evict(&mut self, class: u8) -> Option<u32> {
        loop {
            match self.hand_over(class) {
                HandOver::Next(slot) => return Some(slot),
                HandOver::Later => {}
                HandOver::Over => return None,
            }
        }
    }

    fn hand_over(&mut self, class: u8) -> HandOver {
        let Some(Queues { small, main }) = self.queues.get(usize::from(class)) else {
            return HandOver::Over;
        };
        let total = small.weight + main.weight;
        let from_small = main.list.is_empty() || small.weight * SMALL_PART > total;
        let queue = if from_small { small } else { main };
        let Some(slot) = queue.list.back() else { return HandOver::Over };
        self.dequeue(slot);
        let node = &mut self.nodes[slot as usize];
        if node.pinned {
            node.place = Place::Aside;
        } else if from_small && node.uses >= USES_TO_STAY {
            node.uses = 0;
            self.enqueue(slot, Place::Main);
        } else if !from_small && node.uses > 0 {
            node.uses -= 1;
            self.enqueue(slot, Place::Main);
        } else {
            if from_small {
                self.owned.of_mut(class).ghost.insert(node.hash, false);
            }
            self.forget(slot);
            return HandOver::Next(slot);
        }
        HandOver::Later
    }

    fn check(&self, unpinned: &[u64]) {
        for (class, Queues { small, main }) in self.queues.iter().enumerate() {
            let mut found = 0;
            for (queue, place) in [(small, Place::Small), (main, Place::Main)] {
                queue.list.check(&self.links);
                let nodes = || queue.list.iter(&self.links).map(|slot| &self.nodes[slot as usize]);
                let is_here = |node: &Node| node.place == place && usize::from(node.class) == class;
                assert!(nodes().all(is_here), "objects are where they say");
                let weight: u64 = nodes().map(|node| u64::from(node.weight)).sum();
                assert_eq!(weight, queue.weight, "a queue knows its weight");
                found += nodes().filter(|node| !node.pinned).count() as u64;
            }
            let expected = unpinned.get(class).copied().unwrap_or(0);
            assert_eq!(found, expected, "every unpinned object is in a queue");
        }
        assert!(unpinned.iter().skip(self.queues.len()).all(|count| *count == 0));
        let present = self.nodes.iter().filter(|node| node.place != Place::Nowhere);
        for (owned, present) in self.owned.count(present.map(|node| node.class)) {
            assert_eq!(present, owned.len, "objects are counted");
            assert!(owned.ghost.len() <= owned.len, "a ghost is no longer than its cache");
            owned.ghost.check();
        }
    }
}

impl S3Fifo {
    fn enqueue(&mut self, slot: u32, place: Place) {
        let node = &mut self.nodes[slot as usize];
        node.place = place;
        let Queues { small, main } = &mut self.queues[usize::from(node.class)];
        let queue = if place == Place::Small { small } else { main };
        queue.weight += u64::from(node.weight);
        queue.list.push_front(&mut self.links, slot);
    }

    fn dequeue(&mut self, slot: u32) {
        let node = &self.nodes[slot as usize];
        let queues = &mut self.queues[usize::from(node.class)];
        let queue = match node.place {
            Place::Small => &mut queues.small,
            Place::Main => &mut queues.main,
            Place::Aside | Place::Nowhere => return,
        };
        queue.weight -= u64::from(node.weight);
        queue.list.unlink(&mut self.links, slot);
    }

    fn forget(&mut self, slot: u32) {
        let node = std::mem::replace(&mut self.nodes[slot as usize], NOWHERE);
        let owned = self.owned.of_mut(node.class);
        owned.len -= 1;
        owned.ghost.truncate(owned.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The small and the main queue, each from the back to the front.
    fn order(policy: &S3Fifo) -> (Vec<u32>, Vec<u32>) {
        let queue = |queue: &Queue| queue.list.iter(&policy.links).collect();
        (queue(&policy.queues[0].small), queue(&policy.queues[0].main))
    }

    fn policy_of(slots: std::ops::Range<u32>) -> S3Fifo {
        let mut policy = S3Fifo::default();
        for slot in slots {
            policy.insert(slot, u64::from(slot), 1, 0);
        }
        policy
    }

    #[test]
    fn used_objects_move_to_the_main_queue_and_others_leave() {
        let mut policy = policy_of(0..4);
        policy.touch(0);
        assert_eq!(policy.evict(0), Some(1));
        assert_eq!(order(&policy), (vec![2, 3], vec![0]));
        policy.check(&[3]);
    }

    #[test]
    fn what_left_lately_comes_back_into_the_main_queue() {
        let mut policy = policy_of(0..4);
        assert_eq!(policy.evict(0), Some(0));
        policy.insert(7, 0, 1, 0);
        assert_eq!(order(&policy), (vec![1, 2, 3], vec![7]));
    }

    #[test]
    fn the_main_queue_gives_another_round_per_use() {
        let mut policy = policy_of(0..3);
        for slot in 0..3 {
            policy.touch(slot);
        }
        assert_eq!(policy.evict(0), Some(0));
        assert_eq!(order(&policy), (vec![], vec![1, 2]));
        policy.touch(1);
        assert_eq!(policy.evict(0), Some(2));
        policy.check(&[1]);
    }

    #[test]
    fn pinned_objects_are_looked_at_once_and_come_back_when_unpinned() {
        let mut policy = policy_of(0..3);
        policy.pin(0);
        assert_eq!(policy.evict(0), Some(1));
        assert_eq!(order(&policy), (vec![2], vec![]));
        policy.check(&[1]);
        assert_eq!(policy.evict(0), Some(2));
        assert_eq!(policy.evict(0), None);
        policy.unpin(0);
        policy.check(&[1]);
        assert_eq!(order(&policy), (vec![], vec![0]));
        policy.pin(0);
        policy.remove(0);
        policy.check(&[0]);
    }

    #[test]
    fn each_class_has_queues_of_its_own() {
        let mut policy = policy_of(0..3);
        (3..5).for_each(|slot| policy.insert(slot, u64::from(slot), 1, 2));
        policy.check(&[3, 0, 2]);
        assert_eq!([1, 2, 200].map(|class| policy.evict(class)), [None, Some(3), None]);
        assert_eq!(order(&policy), (vec![0, 1, 2], vec![]));
        policy.check(&[3, 0, 1]);
    }

    #[test]
    fn what_another_owner_lets_pass_pushes_nothing_out_of_the_ghost() {
        for (owner, place) in [(1, "main"), (0, "small")] {
            let mut policy = S3Fifo::default();
            policy.assign(1, owner);
            (0..4).for_each(|slot| policy.insert(slot, u64::from(slot), 1, 0));
            (4..8).for_each(|slot| policy.insert(slot, u64::from(slot), 1, 1));
            assert_eq!(policy.evict(0), Some(0));
            for passed in 8..40 {
                let slot = policy.evict(1).unwrap();
                policy.insert(slot, passed, 1, 1);
            }
            policy.insert(0, 0, 1, 0);
            let is_main = order(&policy).1 == [0];
            assert_eq!(if is_main { "main" } else { "small" }, place, "owner {owner}");
            policy.check(&[4, 4]);
        }
    }

    #[test]
    fn a_scan_passes_through_the_small_queue_alone() {
        let mut policy = policy_of(0..100);
        for slot in 0..90 {
            policy.touch(slot);
        }
        for slot in 100..1100 {
            policy.insert(slot, u64::from(slot), 1, 0);
            assert!(policy.evict(0).is_some());
        }
        policy.check(&[100]);
        let (_, main) = order(&policy);
        assert!((0..90).all(|slot| main.contains(&slot)), "{main:?}");
    }

    #[test]
    fn the_ghost_shrinks_with_the_cache() {
        let mut policy = policy_of(0..100);
        for left in (0..100).rev() {
            assert!(policy.evict(0).is_some());
            policy.check(&[left]);
        }
    }
}
