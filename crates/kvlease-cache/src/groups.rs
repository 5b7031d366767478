//! Groups: sealed objects that are useless one without the other, and so leave together.
//!
//! The keys tell which these are, see [`KeyGroup`](kvlease_types::KeyGroup). Most objects are alone:
//! their key has no group, or no other object of it is there. Only from the second object on there is
//! a [`Group`].

use crate::{
    eviction::{Links, List},
    group::Group,
    number_table::NumberTable,
    objects::{Object, Objects, State},
    slab::{NONE, Slab},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Groups {
    /// One member of each group that has any, by the hash of the group.
    by_hash: NumberTable,
    groups: Slab<Group>,
    links: Links,
}

impl Groups {
    pub(crate) fn new() -> Self {
        Self { by_hash: NumberTable::default(), groups: Slab::new(), links: Links::default() }
    }

    /// Adds an object whose group is known. Returns the number of the group, unless the object is alone.
    pub(crate) fn add(&mut self, slot: u32, objects: &mut Objects) -> Option<u32> {
        let hash = objects[slot].group_hash?.get();
        let is_same = |other: u32| objects[other].group_hash.map(u64::from) == Some(hash);
        let other = self.by_hash.find_or_insert(hash, slot, is_same)?;
        let id = match objects[other].group {
            NONE => self.found(other, objects),
            id => id,
        };
        let group = self.groups.get_mut(id).expect("an object names a group that is there");
        group.members.push_front(&mut self.links, slot);
        let object = &mut objects[slot];
        group.units += object.allocation.units;
        // Its next use is one that the others have had.
        (object.group, object.uses) = (id, group.uses.wrapping_sub(1));
        Some(id)
    }

    /// Makes a group of an object that was alone.
    fn found(&mut self, slot: u32, objects: &mut Objects) -> u32 {
        let object = &mut objects[slot];
        let mut group = Group {
            members: List::default(),
            leader: if object.victim { NONE } else { slot },
            free: u32::from(object.is_evictable() && !object.victim),
            units: object.allocation.units,
            uses: 0,
            lost: false,
        };
        group.members.push_front(&mut self.links, slot);
        let id = self.groups.insert(group);
        (object.group, object.uses) = (id, 0);
        id
    }

    /// Counts a use of a member. Whether that is one of the group: the member has been used more than the others.
    pub(crate) fn count_use(&mut self, object: &mut Object) -> bool {
        let group = self.group(object.group);
        object.uses = object.uses.wrapping_add(1);
        let is_ahead = object.uses.wrapping_sub(group.uses).cast_signed() > 0;
        if is_ahead {
            group.uses = object.uses;
        }
        is_ahead
    }

    /// Takes an object out. Returns the number of its group, if others are left in it.
    pub(crate) fn take_out(&mut self, slot: u32, objects: &mut Objects) -> Option<u32> {
        let object = &mut objects[slot];
        let hash = object.group_hash.take()?.get();
        let id = std::mem::replace(&mut object.group, NONE);
        let mut other = None;
        if id != NONE {
            let group = self.groups.get_mut(id).expect("an object names a group that is there");
            group.members.unlink(&mut self.links, slot);
            group.units -= object.allocation.units;
            other = group.members.back();
        }
        match other {
            Some(other) => self.by_hash.replace(hash, slot, other),
            None => _ = self.by_hash.take(hash, |named| named == slot),
        }
        if id != NONE && other.is_none() {
            self.groups.remove(id);
        }
        other.map(|_| id)
    }

    /// Reads what the look-up of a group begins with.
    pub(crate) fn prefetch(&self, hash: u64) -> u32 {
        self.by_hash.prefetch(hash)
    }

    /// A group. There is one of each number that an object has.
    pub(crate) fn group(&mut self, id: u32) -> &mut Group {
        self.groups.get_mut(id).expect("an object names a group that is there")
    }

    /// The members of a group, the one that came first before the others.
    pub(crate) fn members(&self, id: u32) -> impl Iterator<Item = u32> + use<'_> {
        self.groups[id].members.iter(&self.links)
    }

    /// The member of a group that came first.
    pub(crate) fn first(&self, id: u32) -> u32 {
        self.groups[id].members.back().expect("a group has members")
    }

    /// Groups of which two objects were there at the same time, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.groups.iter()
    }

    /// Asserts that every group has the members that it says, and every object its group.
    pub(crate) fn check(&self, objects: &Objects) {
        let mut members = 0;
        for (id, group) in self.groups.iter() {
            group.members.check(&self.links);
            assert!(!group.members.is_empty(), "an empty group is forgotten");
            let hash = objects[self.first(id)].group_hash;
            let mut units = 0;
            for slot in self.members(id) {
                let object = &objects[slot];
                assert_eq!(
                    (object.group, object.group_hash),
                    (id, hash),
                    "a member knows its group"
                );
                units += object.allocation.units;
                members += 1;
            }
            assert_eq!(units, group.units, "the units of a group are counted");
        }
        let grouped = objects.iter().filter(|(_, object)| object.group != NONE);
        assert_eq!(grouped.count(), members, "no object names a group that it is not in");
        let sealed = objects.iter().filter(|(_, object)| object.state == State::Sealed);
        let mut hashes: Vec<_> = sealed.filter_map(|(_, object)| object.group_hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), self.by_hash.len(), "every group is found by its hash");
        for hash in hashes.iter().map(|hash| hash.get()) {
            let of_hash = |slot: u32| objects[slot].group_hash.map_or(0, u64::from) == hash;
            assert!(self.by_hash.find(hash, of_hash).is_some(), "by one of its members");
        }
    }
}
