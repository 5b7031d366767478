//! The order in which objects leave: that of the policy, group by group.
//!
//! An object that is alone has an entry in the policy. The members of a group have one together, so a use of
//! one is a use of all. It is pinned while none of them can be evicted. When the policy chooses it, the
//! members that can be evicted become victims, and the others become victims when their last reader
//! ends. Until one of them was evicted, a read of a victim gives the whole group back to the policy.
//!
//! An object that comes when the others of its group have left is a victim as well, see [`late`](crate::late).
//!
//! Each object has the class of its bucket. The classes say which of them gives room next, see
//! [`classes`](crate::classes), and the policy which of its entries. An entry has the class of the member that
//! leads its group.
//!
//! A group is used once where each of its members is: [`touch`](Catalog::touch) tells the policy only of the
//! member that was used most.

use super::Catalog;
use crate::{
    classes::{Exhausted, Favoured, Pinned},
    objects::Object,
    quotas::Amount,
    slab::NONE,
};

/// Part of the arena, and of all slots, that pinned objects may have.
const PINNED_PART: u64 = 4;

/// An entry of the policy: an object that is alone, or a group.
struct Entry {
    /// Of the object's name, or of the group.
    hash: u64,
    /// Units of the object that has the entry.
    own: u32,
    /// Units of all.
    units: u32,
    class: u8,
}

impl Catalog {
    /// Gives an object that is published the class of its bucket, and pins it if the bucket's policy does.
    pub(super) fn join_class(&mut self, slot: u32) {
        let class = self.objects.bucket(self.objects[slot].bucket).class;
        // A policy may have come since the object was reserved, and a restored one was in no account.
        self.change_account(slot, class);
        let object = &self.objects[slot];
        self.classes.get_mut(class).objects += 1;
        let amount = Amount::of_client(object);
        self.classes.change(class, |account| account.sealed.add(amount));
        let pins = self.classes.get(class).policy.pins(object.key.as_str());
        let pinned = pins && self.classes.may_pin(object.allocation.units, self.pinned_max());
        if pinned {
            self.classes.pin(class, object.allocation.units);
        } else if pins {
            self.classes.get_mut(class).totals.unpinned += 1;
        }
        let object = &mut self.objects[slot];
        (object.class, object.pinned) = (class, pinned);
    }

    /// Follows up that an object is published no longer.
    pub(super) fn leave_class(&mut self, slot: u32) {
        let object = &self.objects[slot];
        self.classes.get_mut(object.class).objects -= 1;
        let amount = Amount::of_client(object);
        self.classes.change(object.class, |account| account.sealed.subtract(amount));
        if object.pinned {
            self.classes.unpin(object.class, object.allocation.units);
        }
    }

    /// A sealed object enters the order. It can be evicted from now on.
    pub(super) fn enter(&mut self, slot: u32) {
        self.objects.find_group(slot);
        let object = &self.objects[slot];
        self.classes.add_taken(object);
        let (hash, group) = (object.hash, object.group_hash);
        let late = group.is_some_and(|group| self.late.is_late(group.get(), hash));
        match self.groups.add(slot, &mut self.objects) {
            None if late => self.add_victim(slot),
            None => self.insert_entry(slot),
            Some(id) => {
                let group = self.groups.group(id);
                if group.leader != NONE {
                    self.policy.reweigh(group.leader, group.units);
                    self.unpin(slot);
                } else if group.lost && late {
                    self.add_victim(slot);
                } else {
                    group.lost = false;
                    self.readmit(id);
                }
            }
        }
    }

    /// A sealed object leaves the order for another reason than that it was chosen.
    pub(super) fn leave(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        let (id, evictable, victim) = (object.group, object.is_evictable(), object.victim);
        if victim {
            self.victims.remove(object);
        } else {
            self.classes.subtract_taken(object);
        }
        let leader = match id {
            NONE if victim => NONE,
            NONE => slot,
            id => {
                let group = self.groups.group(id);
                group.free -= u32::from(evictable && group.leader != NONE);
                group.leader
            }
        };
        let left = self.groups.take_out(slot, &mut self.objects);
        if leader == slot {
            self.policy.remove(slot);
        }
        let Some(id) = left.filter(|_| leader != NONE) else { return };
        if leader == slot {
            return self.lead(id);
        }
        let group = self.groups.group(id);
        let (units, pinned_now) = (group.units, evictable && group.free == 0);
        self.policy.reweigh(leader, units);
        if pinned_now {
            self.policy.pin(leader);
        }
    }

    /// Gives an object another class, or pins or unpins it: it leaves its place and its group, and enters them
    /// again.
    pub(super) fn reenter(&mut self, slot: u32, class: u8, pinned: bool) {
        if self.objects[slot].is_evictable() {
            self.subtract_evictable(slot);
        }
        self.leave(slot);
        let object = &self.objects[slot];
        let (before, amount) = (object.class, Amount::of_client(object));
        self.classes.get_mut(before).objects -= 1;
        self.classes.change(before, |account| account.sealed.subtract(amount));
        self.change_account(slot, class);
        self.objects[slot].pinned = pinned;
        self.classes.get_mut(class).objects += 1;
        self.classes.change(class, |account| account.sealed.add(amount));
        self.enter(slot);
        if self.objects[slot].is_evictable() {
            return self.add_evictable(slot);
        }
        if self.objects[slot].victim {
            // The others of its group have left: it follows when its last reader ends.
            self.drop_victim(slot);
            if self.objects[slot].group != NONE {
                return;
            }
            self.insert_entry(slot);
        }
        self.pin(slot);
    }

    /// An object was asked for. It may be pinned.
    pub(super) fn touch(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        if object.group == NONE {
            return self.policy.touch(slot);
        }
        let is_use = self.groups.count_use(object);
        let leader = self.groups.group(object.group).leader;
        if is_use && leader != NONE {
            self.policy.touch(leader);
        }
    }

    /// An object can be evicted no longer, and is no victim.
    pub(super) fn pin(&mut self, slot: u32) {
        match self.objects[slot].group {
            NONE => self.policy.pin(slot),
            id => {
                let group = self.groups.group(id);
                if group.leader != NONE {
                    group.free -= 1;
                    if group.free == 0 {
                        self.policy.pin(group.leader);
                    }
                }
            }
        }
    }

    /// An object can be evicted again. It becomes a victim if its group is leaving.
    pub(super) fn unpin(&mut self, slot: u32) {
        let id = self.objects[slot].group;
        if id == NONE {
            return self.policy.unpin(slot);
        }
        let group = self.groups.group(id);
        if group.leader == NONE {
            return self.add_victim(slot);
        }
        group.free += 1;
        if group.free > 1 {
            // The order is by the end of the last use.
            self.policy.pin(group.leader);
        }
        self.policy.unpin(group.leader);
    }

    /// Chooses what leaves next in favour of a class: an object or a group becomes victims. False if there is
    /// none.
    pub(super) fn choose(&mut self, favoured: Favoured) -> bool {
        let Some(slot) = self.next_entry(favoured) else { return false };
        self.choose_entry(slot);
        true
    }

    /// Follows up that the policy has forgotten an entry.
    pub(super) fn choose_entry(&mut self, slot: u32) {
        match self.objects[slot].group {
            NONE => self.add_victim(slot),
            id => self.choose_members(id),
        }
    }

    /// Makes an object that can be evicted a victim, with its group, whatever the policy says.
    pub(super) fn expel(&mut self, slot: u32) {
        let Object { victim, group, .. } = self.objects[slot];
        if victim {
            return;
        }
        if group == NONE {
            self.policy.remove(slot);
            return self.add_victim(slot);
        }
        self.policy.remove(self.groups.group(group).leader);
        self.choose_members(group);
    }

    /// Follows up that the policy has forgotten a group.
    fn choose_members(&mut self, id: u32) {
        let group = self.groups.group(id);
        (group.leader, group.free) = (NONE, 0);
        for slot in self.groups.members(id) {
            let object = &mut self.objects[slot];
            if object.is_evictable() {
                self.classes.subtract_taken(object);
                self.victims.add(slot, object);
            }
        }
    }

    /// Follows up that a victim is read: it stays, with its group. Those of a group that was broken up already
    /// stay victims.
    pub(super) fn spare_victim(&mut self, slot: u32) {
        match self.objects[slot].group {
            NONE => {
                self.drop_victim(slot);
                self.insert_entry(slot);
            }
            id if !self.groups.group(id).lost => self.readmit(id),
            _ => {}
        }
    }

    /// Gives a group that is leaving back to the policy.
    fn readmit(&mut self, id: u32) {
        let mut free = 0;
        for slot in self.groups.members(id) {
            let object = &mut self.objects[slot];
            free += u32::from(object.is_evictable());
            if object.victim {
                self.victims.remove(object);
                self.classes.add_taken(object);
            }
        }
        self.groups.group(id).free = free;
        self.lead(id);
    }

    /// Makes the member that came first the one that has the entry of its group.
    fn lead(&mut self, id: u32) {
        let leader = self.groups.first(id);
        let group = self.groups.group(id);
        group.leader = leader;
        let is_pinned = group.free == 0;
        self.insert_entry(leader);
        if is_pinned {
            self.policy.pin(leader);
        }
    }

    /// Gives an object that is alone, or the group that it leads, an entry in the policy.
    pub(super) fn insert_entry(&mut self, slot: u32) {
        let Entry { hash, own, units, class } = self.entry(slot);
        self.policy.insert(slot, hash, own, class);
        if units != own {
            self.policy.reweigh(slot, units);
        }
    }

    /// Gives an entry that the former policy has forgotten to the one in force.
    pub(super) fn take_over(&mut self, slot: u32) {
        let Entry { hash, own, units, class } = self.entry(slot);
        self.policy.take_over(slot, hash, own, class);
        if units != own {
            self.policy.reweigh(slot, units);
        }
    }

    fn entry(&mut self, slot: u32) -> Entry {
        let object = &self.objects[slot];
        let own = object.allocation.units;
        Entry {
            // A group is the same one, whichever member comes first.
            hash: object.group_hash.map_or(object.hash, u64::from),
            own,
            units: if object.group == NONE { own } else { self.groups.group(object.group).units },
            class: object.class,
        }
    }

    /// Makes a victim none, without a place in the order.
    pub(super) fn drop_victim(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        self.victims.remove(object);
        self.classes.add_taken(object);
    }

    fn add_victim(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        self.classes.subtract_taken(object);
        self.victims.add(slot, object);
    }

    /// Takes the entry that leaves next out of the policy.
    fn next_entry(&mut self, favoured: Favoured) -> Option<u32> {
        if self.classes.is_single() {
            return self.policy.evict(0);
        }
        self.next_entry_but(Exhausted::default(), favoured)
    }

    /// The same of classes that are not exhausted.
    pub(super) fn next_entry_but(
        &mut self,
        mut exhausted: Exhausted,
        favoured: Favoured,
    ) -> Option<u32> {
        loop {
            let class = self.classes.next(exhausted)?;
            if !self.classes.is_guarded(class, favoured)
                && let Some(slot) = self.policy.evict(class)
            {
                return Some(slot);
            }
            exhausted.add(class);
        }
    }

    /// The most that all pinned objects may have.
    pub(super) fn pinned_max(&self) -> Pinned {
        Pinned {
            objects: u64::from(self.slots_max()) / PINNED_PART,
            units: u64::from(self.capacity) / PINNED_PART,
        }
    }

    /// Asserts that the policy has an entry for each object that is alone and for each group, and that the
    /// entries of those are pinned of which nothing can be evicted.
    pub(super) fn check_order(&self) {
        self.groups.check(&self.objects);
        let alone = self
            .objects
            .iter()
            .filter(|(_, object)| object.group == NONE && object.is_evictable() && !object.victim);
        let mut unpinned: Vec<_> = alone.map(|(slot, object)| (slot, object.class)).collect();
        for (id, group) in self.groups.iter() {
            let members = || self.groups.members(id).map(|slot| &self.objects[slot]);
            let free = members().filter(|object| object.is_evictable()).count();
            let victims = members().filter(|object| object.victim).count();
            if group.leader == NONE {
                assert_eq!(victims, free, "what can be evicted of a group that leaves is a victim");
            } else {
                assert!(self.groups.members(id).any(|slot| slot == group.leader), "a member leads");
                assert_eq!((victims, free), (0, group.free as usize), "the free are counted");
                if free > 0 {
                    unpinned.push((group.leader, self.objects[group.leader].class));
                }
            }
        }
        self.policy.check(&unpinned, self.classes.len());
    }
}
