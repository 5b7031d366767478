//! Hit density: the objects with the fewest expected returns for the room and time that they take leave
//! first.
//!
//! Beckmann, Chen and Cidon, "LHD: improving cache hit rate by maximizing hit density", NSDI 2018, rank
//! objects by expected hits for each byte and unit of time, learned by age and class. Here a class is
//! how often an object came back: a prefix that came back is likelier to come back again. Each class
//! has one queue by the time of the last use, and of the queues' oldest objects the one with the lowest
//! density leaves. So no sample punches holes into prefixes: of one prefix, the objects further back
//! came back at most as often, and leave at the same time or before.
//!
//! The time until a return is estimated as Kaplan and Meier do (1958): objects that have not come back
//! yet count for the time that they were seen. Objects that were evicted lately are watched as well, or
//! only survivors would teach.
//!
//! All that is for each owner of objects by itself, in uses of its own objects: what one of them asks for teaches
//! nothing about the others, and ages nothing of theirs.

mod departed;
mod last_use;
mod lessons;
mod returns;
mod waiting;

use super::{EvictionPolicy, HandOver, Links, List, list};
use last_use::{CLASSES, Use};
use lessons::{Lesson, Lessons};

/// Ratio of densities that counts: less is no evidence, and the time of the last use decides.
const STEP: f64 = 1.25;

/// Memory per slot, for the accounting: node, links, and the objects that were evicted. An eighth is
/// growth slack.
pub(super) const SLOT_BYTES: usize =
    (size_of::<Node>() + size_of::<list::Link>() + departed::BYTES) * 9 / 8;

/// State of one object in the policy.
#[derive(Clone, Copy, Debug)]
struct Node {
    hash: u64,
    last: Use,
    weight: u32,
    place: Place,
    /// Of objects, not of returns.
    class: u8,
}

/// Where an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Not in the policy.
    Nowhere,
    /// In the queue of its class.
    Queued,
    /// In no queue.
    Pinned,
}

const NOWHERE: Node =
    Node { hash: 0, last: Use::first(0), weight: 0, place: Place::Nowhere, class: 0 };

/// See the module.
#[derive(Default, Debug)]
pub(super) struct HitDensity {
    nodes: Vec<Node>,
    links: Links,
    /// By class of objects, then by class of returns.
    queues: Vec<[List; CLASSES]>,
    lessons: Lessons,
}

impl EvictionPolicy for HitDensity {
    fn assign(&mut self, class: u8, owner: u8) {
        self.lessons.assign(class, owner);
    }

    fn insert(&mut self, slot: u32, hash: u64, weight: u32, class: u8) {
        self.grow(slot as usize + 1);
        let last = self.lessons.enter(class, hash, self.nodes.len());
        self.nodes[slot as usize] =
            Node { hash, last, weight: weight.max(1), place: Place::Pinned, class };
        list::of_class(&mut self.queues, class);
        self.unpin(slot);
    }

    fn touch(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        let is_queued = node.place == Place::Queued;
        if is_queued {
            self.pin(slot);
        }
        self.nodes[slot as usize].last = self.lessons.again(node.class, node.last);
        if is_queued {
            self.unpin(slot);
        }
    }

    fn pin(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.place = Place::Pinned;
        let queues = &mut self.queues[usize::from(node.class)];
        queues[node.last.class()].unlink(&mut self.links, slot);
    }

    fn unpin(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.place = Place::Queued;
        let queues = &mut self.queues[usize::from(node.class)];
        queues[node.last.class()].push_front(&mut self.links, slot);
    }

    fn remove(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        if node.place == Place::Queued {
            self.pin(slot);
        }
        self.lessons.lose(node.class, node.last);
        self.nodes[slot as usize] = NOWHERE;
    }

    fn reserve(&mut self, slots: usize) {
        self.grow(slots);
        self.links.reserve(slots);
    }

    fn evict(&mut self, class: u8) -> Option<u32> {
        let slot = self.next(class)?;
        self.pin(slot);
        let Node { hash, last, .. } = self.nodes[slot as usize];
        self.lessons.depart(class, hash, last);
        self.nodes[slot as usize] = NOWHERE;
        Some(slot)
    }

    fn hand_over(&mut self, class: u8) -> HandOver {
        // Without a place among the departed: their tables would grow for nothing.
        let next = self.next(class);
        if let Some(slot) = next {
            self.remove(slot);
        }
        HandOver::of(next)
    }

    fn check(&self, unpinned: &[u64]) {
        for (class, queues) in self.queues.iter().enumerate() {
            for (returns, queue) in queues.iter().enumerate() {
                queue.check(&self.links);
                let mut nodes = queue.iter(&self.links).map(|slot| &self.nodes[slot as usize]);
                let is_here = |node: &Node| {
                    node.place == Place::Queued
                        && usize::from(node.class) == class
                        && node.last.class() == returns
                };
                assert!(nodes.all(is_here), "objects are where they say");
            }
            let found: u64 = queues.iter().map(List::len).sum();
            let expected = unpinned.get(class).copied().unwrap_or(0);
            assert_eq!(found, expected, "every unpinned object is in a queue");
        }
        let queued = self.nodes.iter().filter(|node| node.place == Place::Queued).count() as u64;
        assert_eq!(queued, unpinned.iter().sum::<u64>(), "every object that says so is in a queue");
        let nodes = self.nodes.iter().filter(|node| node.place != Place::Nowhere);
        self.lessons.check(nodes.map(|node| node.class));
    }
}

impl HitDensity {
    fn grow(&mut self, slots: usize) {
        if slots > self.nodes.len() {
            list::grow(&mut self.nodes, slots, NOWHERE);
        }
    }

    /// The object of a class that leaves next.
    fn next(&self, class: u8) -> Option<u32> {
        let oldest = self.queues.get(usize::from(class))?.iter().filter_map(List::back);
        let lesson = self.lessons.of(class);
        oldest.min_by(|one, other| {
            let (one, other) = (&self.nodes[*one as usize], &self.nodes[*other as usize]);
            let ranks = rank(lesson, one).total_cmp(&rank(lesson, other));
            ranks.then(one.last.at().cmp(&other.last.at()))
        })
    }
}

/// Step of an object's density: of those with the same one, the one that was used first leaves.
fn rank(lesson: &Lesson, node: &Node) -> f64 {
    let density = lesson.density(node.last) / f64::from(node.weight);
    density.log(STEP).floor()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn policy_of(slots: std::ops::Range<u32>) -> HitDensity {
        let mut policy = HitDensity::default();
        for slot in slots {
            policy.insert(slot, hash(slot), 1, 0);
        }
        policy
    }

    /// Number without an order (the end of MurmurHash3).
    fn hash(name: u32) -> u64 {
        let mixed = u64::from(name + 1).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ mixed >> 33
    }

    #[test]
    fn before_anything_is_known_what_was_used_last_leaves_last() {
        let mut policy = policy_of(0..4);
        policy.touch(0);
        let order: Vec<u32> = std::iter::from_fn(|| policy.evict(0)).collect();
        assert_eq!(order, [1, 2, 3, 0]);
        policy.check(&[0]);
    }

    #[test]
    fn pinned_objects_are_no_victims() {
        let mut policy = policy_of(0..3);
        policy.pin(0);
        policy.touch(0);
        assert_eq!(policy.evict(0), Some(1));
        policy.check(&[1]);
        assert_eq!((policy.evict(0), policy.evict(0)), (Some(2), None));
        policy.unpin(0);
        policy.check(&[1]);
        policy.pin(0);
        policy.remove(0);
        policy.check(&[0]);
    }

    /// Cache of 100 objects: 20 come back every now and then, others pass by.
    struct Cache {
        policy: HitDensity,
        slots: BTreeMap<u32, u32>,
        passed: u32,
    }

    impl Cache {
        fn experienced() -> Self {
            let mut cache = Self {
                policy: policy_of(0..100),
                slots: (0..100).map(|slot| (slot, slot)).collect(),
                passed: 1_000_000,
            };
            for round in 0..1500 {
                for name in (0..20).filter(|name| hash(name + round * 20) >> 40 & 3 == 0) {
                    cache.ask(name);
                }
                cache.pass(20);
            }
            cache
        }

        fn ask(&mut self, name: u32) {
            if let Some(slot) = self.slots.get(&name) {
                self.policy.touch(*slot);
                return;
            }
            let slot = self.policy.evict(0).expect("nothing is pinned");
            self.slots.retain(|_, taken| *taken != slot);
            self.policy.insert(slot, hash(name), 1, 0);
            self.slots.insert(name, slot);
        }

        fn pass(&mut self, count: u32) {
            for _ in 0..count {
                self.passed += 1;
                self.ask(self.passed);
            }
        }

        fn kept(&self) -> usize {
            self.slots.range(..20).count()
        }
    }

    #[test]
    fn a_scan_leaves_what_comes_back_again_and_again() {
        let mut cache = Cache::experienced();
        cache.pass(150);
        cache.policy.check(&[100]);
        assert!(cache.kept() >= 18, "{} of 20", cache.kept());
    }

    #[test]
    fn an_object_that_takes_much_room_leaves() {
        let mut cache = Cache::experienced();
        let back = |policy: &HitDensity| policy.queues[0][CLASSES - 1].back();
        let slot = back(&cache.policy).expect("some came back");
        assert_ne!(cache.policy.evict(0), Some(slot), "what passes by leaves first");
        cache.policy.nodes[slot as usize].weight = u32::MAX;
        assert_eq!(cache.policy.evict(0), Some(slot));
    }

    #[test]
    fn each_class_of_objects_has_queues_of_its_own() {
        let mut policy = policy_of(0..2);
        (2..4).for_each(|slot| policy.insert(slot, hash(slot), 1, 1));
        policy.touch(2);
        policy.check(&[2, 2]);
        assert_eq!([2, 1, 1, 1].map(|class| policy.evict(class)), [None, Some(3), Some(2), None]);
        policy.check(&[2]);
    }

    /// Slots that leave of a class of 100 objects, of which some come back, while another class is used this often.
    fn left(owner_of_other: u8, uses_of_other: u32) -> Vec<u32> {
        let (own, other) = (1, 2);
        let mut policy = HitDensity::default();
        policy.assign(own, 1);
        policy.assign(other, owner_of_other);
        (0..100).for_each(|slot| policy.insert(slot, hash(slot), 1, own));
        (100..200).for_each(|slot| policy.insert(slot, hash(slot), 1, other));
        let (mut left, mut passed) = (Vec::new(), 1_000_000);
        for round in 0..12_000_u32 {
            if round % 3 == 0 {
                policy.touch(hash(round) as u32 % 20);
            }
            let slot = policy.evict(own).unwrap();
            left.push(slot);
            policy.insert(slot, hash(1000 + round), 1, own);
            for use_of_other in 0..uses_of_other {
                policy.touch(100 + use_of_other);
                let slot = policy.evict(other).unwrap();
                passed += 1;
                policy.insert(slot, hash(passed), 1, other);
            }
        }
        policy.check(&[0, 100, 100]);
        left
    }

    #[test]
    fn what_leaves_of_one_owner_is_the_same_whatever_another_one_does() {
        let alone = left(2, 0);
        assert_eq!(left(2, 1), alone);
        assert_eq!(left(2, 3), alone);
        assert_ne!(left(1, 3), alone, "classes of one owner learn together");
    }

    #[test]
    fn an_object_that_was_evicted_comes_back() {
        let mut policy = policy_of(0..10);
        assert_eq!(policy.evict(0), Some(0));
        policy.insert(0, hash(0), 1, 0);
        assert_eq!(policy.nodes[0].last.class(), 1, "it came back");
        policy.insert(10, hash(10), 1, 0);
        assert_eq!(policy.nodes[10].last.class(), 0);
    }
}
