//! Succession of eviction policies: the one in force, and the one before it until that has handed over.
//!
//! A change is made in steps, between which the catalog is used as ever. Each entry is in one of both policies.
//!
//! 1. The former policy gives its entries one after the other, in the order in which they would have left. What is stored
//!    meanwhile enters it as well, and so comes behind them. What leaves is first what was handed over.
//! 2. The entries that are pinned follow, in the order of their slots. What is stored from then on enters the policy in force.

use super::{EvictionPolicy, HandOver, policy};
use crate::config::EvictionKind;

/// Policy without objects that is to be in force, with the memory for those that come.
#[derive(Debug)]
pub struct Successor {
    pub(crate) kind: EvictionKind,
    policy: Box<dyn EvictionPolicy>,
}

impl Successor {
    /// A policy for this many [slots](crate::Catalog::slots). Takes time in proportion to them, so it is made
    /// with the catalog unlocked.
    pub fn new(kind: EvictionKind, slots: u32) -> Self {
        let mut policy = policy(kind);
        policy.reserve(slots as usize);
        Self { kind, policy }
    }
}

/// Policy that has handed everything over. To give its memory back takes time, so it is dropped with the
/// catalog unlocked.
#[derive(Debug)]
pub struct FormerPolicy {
    _policy: Box<dyn EvictionPolicy>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Succession {
    current: Box<dyn EvictionPolicy>,
    former: Option<Former>,
}

/// The policy before.
#[derive(Debug)]
struct Former {
    policy: Box<dyn EvictionPolicy>,
    /// A bit for each slot whose entry is in the policy in force.
    handed: Vec<u64>,
    /// The first slot that was not looked at, once the order was handed over.
    pinned_from: Option<u32>,
}

impl Succession {
    pub(crate) fn new(kind: EvictionKind) -> Self {
        Self { current: policy(kind), former: None }
    }

    /// Whether a change is under way.
    pub(crate) const fn is_changing(&self) -> bool {
        self.former.is_some()
    }

    /// Puts another policy in force. None may be handing over.
    pub(crate) fn begin(&mut self, successor: Successor, slots: usize) {
        debug_assert!(!self.is_changing(), "one change at a time");
        let policy = std::mem::replace(&mut self.current, successor.policy);
        let handed = vec![0; slots.div_ceil(u64::BITS as usize)];
        self.former = Some(Former { policy, handed, pinned_from: None });
    }

    /// One step of handing the order of a class over. The caller [takes](Self::take_over) the next entry.
    pub(crate) fn hand_over(&mut self, class: u8) -> HandOver {
        match &mut self.former {
            Some(former) if former.pinned_from.is_none() => former.policy.hand_over(class),
            _ => HandOver::Over,
        }
    }

    /// The order of all classes was handed over: the pinned entries follow.
    pub(crate) fn begin_pinned(&mut self) {
        if let Some(former) = &mut self.former {
            former.pinned_from.get_or_insert(0);
        }
    }

    /// The next slots, at most this many, whose entries may be pinned and in the former policy. `None` behind the last.
    pub(crate) fn next_pinned(&mut self, slots: u32) -> Option<std::ops::Range<u32>> {
        let former = self.former.as_mut()?;
        let from = former.pinned_from.as_mut()?;
        let end = (former.handed.len() as u32).saturating_mul(u64::BITS);
        let to = from.saturating_add(slots).min(end);
        let range = *from..to;
        *from = to;
        (!range.is_empty()).then_some(range)
    }

    /// Ends the change. Nothing is left in the former policy.
    pub(crate) fn end(&mut self) -> Option<FormerPolicy> {
        self.former.take().map(|former| FormerPolicy { _policy: former.policy })
    }

    /// Whether the entry of a slot, if it has one, is in the former policy.
    pub(crate) fn is_former(&self, slot: u32) -> bool {
        self.former.as_ref().is_some_and(|former| !former.has_handed(slot))
    }

    /// Gives an entry that the former policy has forgotten to the one in force.
    pub(crate) fn take_over(&mut self, slot: u32, hash: u64, weight: u32, class: u8) {
        if let Some(former) = &mut self.former {
            former.set_handed(slot, true);
        }
        self.current.insert(slot, hash, weight, class);
    }

    /// As of [`EvictionPolicy`], and so are the following ones.
    pub(crate) fn assign(&mut self, class: u8, owner: u8) {
        self.current.assign(class, owner);
        if let Some(former) = &mut self.former {
            former.policy.assign(class, owner);
        }
    }

    pub(crate) fn insert(&mut self, slot: u32, hash: u64, weight: u32, class: u8) {
        if let Some(former) = &mut self.former {
            former.set_handed(slot, former.pinned_from.is_some());
        }
        self.of(slot).insert(slot, hash, weight, class);
    }

    pub(crate) fn touch(&mut self, slot: u32) {
        self.of(slot).touch(slot);
    }

    pub(crate) fn pin(&mut self, slot: u32) {
        self.of(slot).pin(slot);
    }

    pub(crate) fn unpin(&mut self, slot: u32) {
        self.of(slot).unpin(slot);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        self.of(slot).remove(slot);
    }

    pub(crate) fn reweigh(&mut self, slot: u32, weight: u32) {
        self.of(slot).reweigh(slot, weight);
    }

    pub(crate) fn evict(&mut self, class: u8) -> Option<u32> {
        let next = self.current.evict(class);
        match &mut self.former {
            // What was handed over would have left first.
            Some(former) if next.is_none() => former.policy.evict(class),
            _ => next,
        }
    }

    /// Asserts that each policy has the unpinned entries, by slot and class, that are in it.
    pub(crate) fn check(&self, unpinned: &[(u32, u8)], classes: usize) {
        let (mut current, mut former) = (vec![0; classes], vec![0; classes]);
        for (slot, class) in unpinned {
            let counts = if self.is_former(*slot) { &mut former } else { &mut current };
            counts[usize::from(*class)] += 1;
        }
        self.current.check(&current);
        if let Some(Former { policy, .. }) = &self.former {
            policy.check(&former);
        }
    }

    fn of(&mut self, slot: u32) -> &mut dyn EvictionPolicy {
        match &mut self.former {
            Some(former) if !former.has_handed(slot) => &mut *former.policy,
            _ => &mut *self.current,
        }
    }
}

impl Former {
    fn has_handed(&self, slot: u32) -> bool {
        let word = self.handed.get((slot / u64::BITS) as usize);
        word.is_some_and(|word| word >> (slot % u64::BITS) & 1 == 1)
    }

    fn set_handed(&mut self, slot: u32, handed: bool) {
        let (place, bit) = ((slot / u64::BITS) as usize, 1 << (slot % u64::BITS));
        if place >= self.handed.len() {
            self.handed.resize(place + 1, 0);
        }
        let word = &mut self.handed[place];
        *word = if handed { *word | bit } else { *word & !bit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changing() -> Succession {
        let mut succession = Succession::new(EvictionKind::Lru);
        (0..100).for_each(|slot| succession.insert(slot, slot.into(), 1, 0));
        succession.pin(7);
        succession.begin(Successor::new(EvictionKind::HitDensity, 100), 100);
        succession
    }

    fn take_over(succession: &mut Succession, steps: u32) {
        for _ in 0..steps {
            if let HandOver::Next(slot) = succession.hand_over(0) {
                succession.take_over(slot, slot.into(), 1, 0);
            }
        }
    }

    #[test]
    fn what_would_have_left_first_leaves_first_in_the_middle_of_a_change() {
        let mut succession = changing();
        assert_eq!(succession.evict(0), Some(0), "nothing was handed over yet");
        take_over(&mut succession, 10);
        assert_eq!([1, 11, 12].map(|slot| succession.is_former(slot)), [false, false, true]);
        // One that is stored now comes behind all others.
        succession.insert(0, 0, 1, 0);
        assert!(succession.is_former(0));
        let left: Vec<_> = std::iter::from_fn(|| succession.evict(0)).collect();
        let expected: Vec<_> = (1..100).filter(|slot| *slot != 7).chain([0]).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn the_pinned_follow_the_order() {
        let mut succession = changing();
        take_over(&mut succession, 100);
        assert_eq!(succession.hand_over(0), HandOver::Over);
        assert_eq!(succession.next_pinned(10), None, "the order comes first");
        succession.begin_pinned();
        succession.insert(100, 100, 1, 0);
        assert!(!succession.is_former(100), "what is stored now needs no handing over");
        let mut slots = Vec::new();
        while let Some(range) = succession.next_pinned(30) {
            slots.extend(range.filter(|slot| *slot < 101 && succession.is_former(*slot)));
        }
        assert_eq!(slots, [7]);
        succession.remove(7);
        succession.take_over(7, 7, 1, 0);
        let unpinned: Vec<_> = (0..101).map(|slot| (slot, 0)).collect();
        succession.check(&unpinned, 1);
        assert!(succession.end().is_some() && !succession.is_changing());
        succession.check(&unpinned, 1);
    }
}
