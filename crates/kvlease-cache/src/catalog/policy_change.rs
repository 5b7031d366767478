//! Change of the eviction policy.

use super::{Catalog, new_policy};
use crate::{
    config::EvictionKind,
    objects::{Object, State},
    slab::NONE,
};

impl Catalog {
    /// Hands all objects over to another policy, in the order in which they would have left: so those
    /// that were to leave first do so still, until the new policy knows more.
    ///
    /// Takes time in proportion to the objects: it is not for every request. What the old policy has learned is
    /// forgotten.
    pub fn change_eviction(&mut self, eviction: EvictionKind) {
        let mut old = std::mem::replace(&mut self.policy, new_policy(eviction, &self.classes));
        self.config.eviction = eviction;
        for class in 0..self.classes.len() as u8 {
            while let Some(slot) = old.evict(class) {
                self.insert_entry(slot);
            }
        }
        // Entries of which nothing can be evicted are pinned. The policy knows no victims.
        let is_pinned = |object: &Object| {
            let is_alone = object.group == NONE && object.state == State::Sealed;
            is_alone && !object.is_evictable() && !object.victim
        };
        let alone = self.objects.iter().filter(|(_, object)| is_pinned(object));
        let groups =
            self.groups.iter().filter(|(_, group)| group.leader != NONE && group.free == 0);
        let pinned = alone.map(|(slot, _)| slot).chain(groups.map(|(_, group)| group.leader));
        for slot in pinned.collect::<Vec<_>>() {
            self.insert_entry(slot);
            self.policy.pin(slot);
        }
    }
}
