//! The order in which objects leave: that of the policy, group by group.
//!
//! An object that is alone has an entry in the policy. The members of a group have one together, so a use of
//! one is a use of all. It is pinned while none of them can be evicted. When the policy chooses it, the
//! members that can be evicted become victims, and the others become victims when their last reader
//! ends. Until one of them was evicted, a read of a victim gives the whole group back to the policy.
//!
//! An object that comes when the others of its group have left is a victim as well, see [`late`](crate::late).
//!
//! A group is used once where each of its members is: [`touch`](Catalog::touch) tells the policy only of the
//! member that was used most.

use super::Catalog;
use crate::{objects::Object, slab::NONE};

impl Catalog {
    /// A sealed object enters the order. It can be evicted from now on.
    pub(super) fn enter(&mut self, slot: u32) {
        self.objects.find_group(slot);
        let object = &self.objects[slot];
        let (hash, group) = (object.hash, object.group_hash);
        let late = group.is_some_and(|group| self.late.is_late(group.get(), hash));
        match self.groups.add(slot, &mut self.objects) {
            None if late => self.victims.add(slot, &mut self.objects[slot]),
            None => self.insert_entry(slot, self.objects[slot].allocation.units),
            Some(id) => {
                let group = self.groups.group(id);
                if group.leader != NONE {
                    self.policy.reweigh(group.leader, group.units);
                    self.unpin(slot);
                } else if group.lost && late {
                    self.victims.add(slot, &mut self.objects[slot]);
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
        let object = &mut self.objects[slot];
        if object.group == NONE {
            return self.policy.unpin(slot);
        }
        let group = self.groups.group(object.group);
        if group.leader == NONE {
            return self.victims.add(slot, object);
        }
        group.free += 1;
        if group.free > 1 {
            // The order is by the end of the last use.
            self.policy.pin(group.leader);
        }
        self.policy.unpin(group.leader);
    }

    /// Chooses what leaves next: an object or a group becomes victims. False if there is none.
    pub(super) fn choose(&mut self) -> bool {
        let Some(slot) = self.policy.evict() else { return false };
        match self.objects[slot].group {
            NONE => self.victims.add(slot, &mut self.objects[slot]),
            id => self.choose_members(id),
        }
        true
    }

    /// Makes an object that can be evicted a victim, with its group, whatever the policy says.
    pub(super) fn expel(&mut self, slot: u32) {
        let Object { victim, group, .. } = self.objects[slot];
        if victim {
            return;
        }
        if group == NONE {
            self.policy.remove(slot);
            return self.victims.add(slot, &mut self.objects[slot]);
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
                self.victims.add(slot, object);
            }
        }
    }

    /// Follows up that a victim is read: it stays, with its group. Those of a group that was broken up already
    /// stay victims.
    pub(super) fn spare_victim(&mut self, slot: u32) {
        match self.objects[slot].group {
            NONE => {
                self.victims.remove(&mut self.objects[slot]);
                self.insert_entry(slot, self.objects[slot].allocation.units);
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
        let (units, is_pinned) = (group.units, group.free == 0);
        self.insert_entry(leader, units);
        if is_pinned {
            self.policy.pin(leader);
        }
    }

    fn insert_entry(&mut self, slot: u32, units: u32) {
        let object = &self.objects[slot];
        // A group is the same one, whichever member comes first.
        let hash = object.group_hash.map_or(object.hash, u64::from);
        self.policy.insert(slot, hash, units);
    }

    /// Asserts that the policy has an entry for each object that is alone and for each group, and that the
    /// entries of those are pinned of which nothing can be evicted.
    pub(super) fn check_order(&self) {
        self.groups.check(&self.objects);
        let alone = |object: &&Object| object.group == NONE && object.is_evictable();
        let sealed = || self.objects.iter().map(|(_, object)| object);
        let mut unpinned = sealed().filter(alone).filter(|object| !object.victim).count() as u64;
        for (id, group) in self.groups.iter() {
            let members = || self.groups.members(id).map(|slot| &self.objects[slot]);
            let free = members().filter(|object| object.is_evictable()).count();
            let victims = members().filter(|object| object.victim).count();
            if group.leader == NONE {
                assert_eq!(victims, free, "what can be evicted of a group that leaves is a victim");
            } else {
                assert!(self.groups.members(id).any(|slot| slot == group.leader), "a member leads");
                assert_eq!((victims, free), (0, group.free as usize), "the free are counted");
                unpinned += u64::from(free > 0);
            }
        }
        self.policy.check(unpinned);
    }
}
