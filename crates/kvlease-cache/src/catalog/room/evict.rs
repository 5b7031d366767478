//! Eviction: of the next object in the order of the policy, or of all in a stretch of the arena.

use super::super::Catalog;
use crate::{changes::ChangeKind, classes::Favoured, objects::State, space::Tenant};

impl Catalog {
    /// Evicts the next object in favour of a class, of the victims first; false if there is none.
    pub(super) fn evict_one(&mut self, favoured: Favoured) -> bool {
        loop {
            if let Some(slot) = self.next_victim(favoured) {
                self.finish_eviction(slot, false);
                return true;
            }
            if !self.choose(favoured) {
                return false;
            }
        }
    }

    /// Evicts a certain object. The rest of its group leaves next.
    fn evict_slot(&mut self, slot: u32) {
        self.expel(slot);
        self.victims.remove(&mut self.objects[slot]);
        self.finish_eviction(slot, false);
    }

    /// Evicts an object that is a victim no longer and that the policy has forgotten.
    pub(in super::super) fn finish_eviction(&mut self, slot: u32, copied: bool) {
        let object = &self.objects[slot];
        debug_assert_eq!(object.state, State::Sealed, "only sealed objects are evicted");
        self.totals.evicted += 1;
        self.totals.evicted_bytes += object.len;
        let totals = &mut self.classes.get_mut(object.class).totals;
        totals.evicted += 1;
        totals.evicted_bytes += object.len;
        // A later miss on this name is answered as evicted, or as elsewhere.
        self.gone.insert(object.hash, copied);
        self.gone.truncate(self.objects.span());
        let (group, hash) = (object.group_hash, object.hash);
        self.subtract_evictable(slot);
        if let Some(group) = group {
            self.late.left(group.get(), hash);
        }
        if let Some(id) = self.groups.take_out(slot, &mut self.objects) {
            self.groups.group(id).lost = true;
        }
        self.unpublish(slot);
        self.depart(slot, ChangeKind::Evicted { copied });
    }

    /// Evicts what lies in the way of `units` in at most `blocks_max` pieces, until the change log
    /// is full.
    pub(super) fn clear_stretch(&mut self, units: u32, blocks_max: u32, favoured: Favoured) {
        for run in self.stretch(units, blocks_max, favoured) {
            let inside = |start: u32| (run.start..run.end).contains(&start);
            let tenants = self.space.walk().filter(|block| inside(block.start));
            // Collected first: the walk borrows the catalog, which an eviction changes.
            let tenants: Vec<_> = tenants.map(|block| block.tenant).collect();
            for tenant in tenants {
                let Tenant::Object(slot) = tenant else { continue };
                if self.log.is_full() {
                    return;
                }
                // An object with several blocks in the way departs with the first.
                let object = &self.objects[slot];
                if object.state == State::Sealed
                    && !self.classes.is_due_to_stay(object.class, favoured)
                {
                    self.evict_slot(slot);
                }
            }
        }
    }
}
