//! Eviction ahead of need within quotas: of who has nearly as much as it may.
//!
//! Above a tier nothing should leave before it was copied there. So room within a quota is made like that of the
//! arena: victims are chosen while they still serve, handed over, and given up. Those of a quota are of its own bucket
//! or tenant.

use kvlease_types::QuotaOf;

use super::{Catalog, room::BOTH};
use crate::{
    classes::{Favoured, OTHERS},
    outcome::Victim,
    quotas::{Ahead, Amount},
};

impl Catalog {
    /// Whether [`victims_within_quotas`](Self::victims_within_quotas) may have something to do: since it was asked last,
    /// a bucket or a tenant came near its quota.
    pub const fn is_short_within_quotas(&self) -> bool {
        self.short_within_quotas
    }

    /// Chooses objects to be evicted next, at most `max`, until giving them up leaves room in each quota for the next
    /// writes. They are as [`victims`](Self::victims) are. None without
    /// [`ahead_of_quotas`](crate::CatalogConfig::ahead_of_quotas).
    pub fn victims_within_quotas(&mut self, max: usize) -> Vec<Victim> {
        let mut victims = Vec::new();
        if !self.short_within_quotas {
            return victims;
        }
        let max = max.min(self.log.room());
        for class in 1..self.classes.len() as u8 {
            while victims.len() < max
                && let Some(of) = self.short_quota(class, Ahead::GoesOn)
                && let Some(victim) = self.next_within(class, of)
            {
                victims.push(victim);
            }
        }
        self.short_within_quotas = victims.len() == max;
        self.tidy_victims();
        victims
    }

    /// Whether room within quotas is made ahead of need for one more object of a class, `units` large, that has none
    /// now. If so, [`victims_within_quotas`](Self::victims_within_quotas) goes on.
    pub(super) fn makes_room_within_quotas(&mut self, class: u8, units: u32) -> bool {
        if class == OTHERS || !self.config.ahead_of_quotas {
            return false;
        }
        let more = Amount { objects: 1, units: units.into() };
        let is_full = |of| self.classes.refusal(class, of, more, Amount::default()).is_some();
        let is_made = BOTH.into_iter().any(|of| is_full(of) && self.gives_room_within(class, of));
        if is_made {
            self.watch_quota(class);
        }
        is_made
    }

    /// Whether objects leave ahead of need for room within a quota of a class, or are about to.
    fn gives_room_within(&self, class: u8, of: QuotaOf) -> bool {
        let is_leaving = |(slot, generation): (u32, u64)| {
            self.is_victim(slot, generation) && {
                let object = &self.objects[slot];
                object.handed && self.classes.shares(class, object.class, of)
            }
        };
        self.classes.evictable(class, of).objects > 0
            && (self.short_quota(class, Ahead::Begins) == Some(of)
                || self.victims.queued().any(is_leaving))
    }

    /// Follows up that a class holds more.
    pub(super) fn watch_quota(&mut self, class: u8) {
        if self.config.ahead_of_quotas && !self.short_within_quotas {
            self.short_within_quotas = self.short_quota(class, Ahead::Begins).is_some();
        }
    }

    /// The class in whose favour a victim is given up.
    pub(super) fn favoured_ahead(&self, class: u8) -> Favoured {
        if class == OTHERS || !self.config.ahead_of_quotas {
            return None;
        }
        let of = self.short_quota(class, Ahead::WithChosen)?;
        Some(self.classes.favoured_within(class, of))
    }

    fn short_quota(&self, class: u8, ahead: Ahead) -> Option<QuotaOf> {
        self.classes.short_quota(class, self.free_target().into(), ahead)
    }

    /// Hands over the next object of the same bucket or tenant, of the victims first.
    fn next_within(&mut self, class: u8, of: QuotaOf) -> Option<Victim> {
        let favoured = self.classes.favoured_within(class, of);
        loop {
            let is_own = |(slot, generation): &(u32, u64)| {
                let is_waiting = self.is_victim(*slot, *generation) && !self.objects[*slot].handed;
                is_waiting && {
                    let other = self.objects[*slot].class;
                    self.classes.shares(class, other, of)
                        && !self.classes.is_due_to_stay(other, Some(favoured))
                }
            };
            let waiting = self.victims.waiting().find(is_own);
            if let Some((slot, generation)) = waiting {
                self.victims.hand_over(&mut self.objects[slot]);
                return Some(Victim { slot, generation });
            }
            let own = self.classes.all_but_own(class, of);
            let slot = self.next_entry_but(own, Some(favoured))?;
            self.choose_entry(slot);
        }
    }
}
