//! Change of the eviction policy, in steps between which the catalog serves.

use std::ops::ControlFlow;

use super::{Catalog, assign_owners};
use crate::{
    eviction::{FormerPolicy, HandOver, Successor},
    objects::State,
    slab::NONE,
};

/// Slots that are looked at for pinned entries in the time in which one entry is handed over.
const SLOTS_PER_ENTRY: u32 = 4;

impl Catalog {
    /// Puts another policy in force. The objects are [handed over](Self::hand_over) from then on, in the order in
    /// which they would have left: so those that were to leave first do so still, until the new policy knows
    /// more. What the old one has learned is forgotten.
    ///
    /// # Errors
    ///
    /// The policy itself, while objects are handed over to another one.
    pub fn change_eviction(&mut self, successor: Successor) -> Result<(), Successor> {
        if self.policy.is_changing() {
            return Err(successor);
        }
        self.config.eviction = successor.kind;
        self.policy.begin(successor, self.objects.span());
        assign_owners(&mut self.policy, &self.classes);
        Ok(())
    }

    /// Whether objects are to be handed over.
    pub const fn is_changing_eviction(&self) -> bool {
        self.policy.is_changing()
    }

    /// Hands objects over, at most `max` or one. Returns the former policy when it has none left.
    ///
    /// Other calls go on between two of these as ever: each object is under one of both policies, and those that were
    /// handed over leave first.
    pub fn hand_over(&mut self, max: u32) -> Option<FormerPolicy> {
        let max = max.max(1);
        let is_over =
            self.hand_order_over(max).is_continue() && self.hand_pinned_over(max).is_continue();
        if is_over { self.policy.end() } else { None }
    }

    /// Goes on if all unpinned entries were handed over.
    fn hand_order_over(&mut self, max: u32) -> ControlFlow<()> {
        let mut steps = 1..max;
        for class in 0..self.classes.len() as u8 {
            loop {
                match self.policy.hand_over(class) {
                    HandOver::Next(slot) => self.take_over(slot),
                    HandOver::Later => {}
                    HandOver::Over => break,
                }
                if steps.next().is_none() {
                    return ControlFlow::Break(());
                }
            }
        }
        self.policy.begin_pinned();
        ControlFlow::Continue(())
    }

    /// Goes on if all others were handed over. Some of these may not be pinned any more.
    fn hand_pinned_over(&mut self, max: u32) -> ControlFlow<()> {
        let Some(slots) = self.policy.next_pinned(max.saturating_mul(SLOTS_PER_ENTRY)) else {
            return ControlFlow::Continue(());
        };
        for slot in slots {
            let Some(is_pinned) = self.pinned_entry(slot).filter(|_| self.policy.is_former(slot))
            else {
                continue;
            };
            self.policy.remove(slot);
            self.take_over(slot);
            if is_pinned {
                self.policy.pin(slot);
            }
        }
        ControlFlow::Break(())
    }

    /// Whether the entry of a slot is pinned: nothing of it can be evicted. `None` if it has none, as a victim and
    /// what follows others of its group.
    fn pinned_entry(&mut self, slot: u32) -> Option<bool> {
        let object = self.objects.get(slot).filter(|object| object.state == State::Sealed)?;
        if object.group == NONE {
            return (!object.victim).then(|| !object.is_evictable());
        }
        let group = self.groups.group(object.group);
        (group.leader == slot).then_some(group.free == 0)
    }
}
