//! Eviction ahead of need: victims are chosen while they still serve, handed over, and given up.

use std::hint::black_box;

use kvlease_types::ByteSize;

use super::{Catalog, whole_units};
use crate::{
    classes::Favoured,
    outcome::{ObjectInfo, Victim},
};

impl Catalog {
    /// Whether eviction ahead of need has something to do: less than half of the free target is
    /// left.
    pub fn is_short_of_room(&self) -> bool {
        let target = u64::from(self.free_target());
        self.room_ahead() * 2 < target
            && self.evictable.objects > self.victims.handed.objects
            && (!self.classes.have_guarantees()
                || self.victims.chosen.objects > self.victims.handed.objects
                || self.classes.can_give())
    }

    /// Whether eviction ahead of need makes room for an object of this length and this
    /// [class](Self::class) that has none now, in the arena or within a quota: then one that can wait lets
    /// victims be handed over, and evicts nothing itself.
    pub fn makes_room_ahead(&mut self, class: u8, len: ByteSize) -> bool {
        let (units, free) = (whole_units(len), u64::from(self.space.free()));
        let has_room = free + self.departed.units >= u64::from(units);
        let of_arena = !has_room && units <= self.free_target() && self.evictable.objects > 0;
        of_arena || self.makes_room_within_quotas(class, units)
    }

    /// Whether objects leave ahead of need, or are about to.
    pub fn is_making_room(&self) -> bool {
        self.victims.handed.objects > 0 || self.is_short_of_room()
    }

    /// Objects that can be evicted now.
    pub const fn evictable_objects(&self) -> u64 {
        self.evictable.objects
    }

    /// Chooses objects to be evicted next, at most `max`, until giving them up restores the free
    /// target. They serve until then, and one that is acquired is a victim no longer.
    ///
    /// Chooses none while the change log has no room for their departures. Objects of one group are chosen
    /// together, and those that are not needed yet are the next ones.
    pub fn victims(&mut self, max: usize) -> Vec<Victim> {
        let mut victims = Vec::new();
        let target = u64::from(self.free_target());
        let max = max.min(self.log.room());
        while victims.len() < max && self.room_ahead() < target {
            if let Some(victim) = self.next_to_hand_over() {
                victims.push(victim);
            } else if !self.choose(None) {
                break;
            }
        }
        self.tidy_victims();
        self.prefetch(&victims);
        victims
    }

    /// Reads what the departure of each of these looks up in tables, and the name that it reports: the waits for memory of
    /// all of them overlap, where one departure after the other waits for each.
    fn prefetch(&self, victims: &[Victim]) {
        let places = victims.iter().fold(0, |sum, victim| {
            let object = &self.objects[victim.slot];
            let group = object.group_hash.map_or(0, |group| self.groups.prefetch(group.get()));
            let name = object.key.as_str().as_bytes().first().copied().map_or(0, u32::from);
            let places = self.objects.prefetch(object.hash) ^ self.gone.prefetch(object.hash);
            sum ^ places ^ group ^ name
        });
        black_box(places ^ self.gone.prefetch_oldest(victims.len()));
    }

    /// Forgets victims that are none any more, if they are most.
    pub(super) fn tidy_victims(&mut self) {
        if self.victims.is_stale() {
            let objects = &self.objects;
            self.victims.retain(|slot, generation| {
                let object = objects.get(slot);
                object.filter(|object| object.generation == generation && object.victim)
            });
        }
    }

    /// Description of a victim, for copying it elsewhere; `None` if it is one no longer.
    pub fn victim(&self, victim: &Victim) -> Option<ObjectInfo> {
        let there = self.is_victim(victim.slot, victim.generation);
        there.then(|| self.describe_object(&self.objects[victim.slot]))
    }

    /// Gives up a victim: evicts it, and remembers whether it was `copied` elsewhere. Returns false
    /// if it is a victim no longer: it was acquired, removed or evicted meanwhile, or its bucket or tenant has no
    /// more than it is guaranteed by now, and needs no room within its own quota.
    pub fn give_up(&mut self, victim: &Victim, copied: bool) -> bool {
        if !self.is_victim(victim.slot, victim.generation) {
            return false;
        }
        let favoured = self.favoured_ahead(self.objects[victim.slot].class);
        if self.spare_guaranteed(victim.slot, favoured) {
            return false;
        }
        self.victims.remove(&mut self.objects[victim.slot]);
        self.finish_eviction(victim.slot, copied);
        true
    }

    pub(super) fn is_victim(&self, slot: u32, generation: u64) -> bool {
        let object = self.objects.get(slot);
        object.is_some_and(|object| object.generation == generation && object.victim)
    }

    /// Units that are free, will be, or can be, without handing over further victims.
    fn room_ahead(&self) -> u64 {
        let unpopulated = self.capacity.saturating_sub(self.space.populated());
        u64::from(self.space.free())
            + u64::from(unpopulated)
            + self.departed.units
            + self.victims.handed.units
    }

    pub(super) fn free_target(&self) -> u32 {
        whole_units(self.config.free_target).min(self.capacity)
    }

    /// Hands over the victim that was chosen first of those that were not.
    fn next_to_hand_over(&mut self) -> Option<Victim> {
        while let Some((slot, generation)) = self.victims.pop_waiting() {
            if self.is_victim(slot, generation) && !self.objects[slot].handed {
                self.victims.hand_over(&mut self.objects[slot]);
                return Some(Victim { slot, generation });
            }
        }
        None
    }

    /// Takes out the victim that was chosen first of those that may leave in favour of a class.
    pub(super) fn next_victim(&mut self, favoured: Favoured) -> Option<u32> {
        while let Some((slot, generation)) = self.victims.pop() {
            if self.is_victim(slot, generation) && !self.spare_guaranteed(slot, favoured) {
                self.victims.remove(&mut self.objects[slot]);
                return Some(slot);
            }
        }
        None
    }
}
