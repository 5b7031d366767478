//! Room within quotas: who has as much as it may gives room to itself.

use kvlease_types::{QuotaOf, Timestamp, WriteRefused};

use super::super::Catalog;
use crate::{classes::OTHERS, config::EVICTIONS_PER_CALL_MAX, outcome::Room, quotas::Amount};

/// Quotas that a write has to keep within.
pub(in super::super) const BOTH: [QuotaOf; 2] = [QuotaOf::Bucket, QuotaOf::Tenant];

impl Catalog {
    /// Whether quotas allow more for a class, when what can be evicted for it within them is gone. What has
    /// ended by `now` is ended as far as needed, as for space.
    pub(in super::super) fn check_quota(
        &mut self,
        class: u8,
        more: Amount,
        now: Timestamp,
    ) -> Result<Room<()>, WriteRefused> {
        if class == OTHERS {
            return Ok(Room::Given(()));
        }
        while let Some(refusal) = self.quota_refusal(class, more) {
            if self.log.is_full() {
                return Ok(Room::AfterDrain);
            }
            if !self.reap_one(now) {
                self.classes.count_refused(class, refusal);
                return Err(refusal);
            }
        }
        Ok(Room::Given(()))
    }

    fn quota_refusal(&self, class: u8, more: Amount) -> Option<WriteRefused> {
        BOTH.into_iter().find_map(|of| {
            // The common case: it fits as things are.
            self.classes.refusal(class, of, more, Amount::default())?;
            self.classes.refusal(class, of, more, self.classes.evictable(class, of))
        })
    }

    /// Evicts of the same bucket and tenant until quotas allow more for a class. False if that has to go on
    /// behind a drain. [`check_quota`](Self::check_quota) said yes.
    pub(in super::super) fn make_quota(
        &mut self,
        class: u8,
        more: Amount,
    ) -> Result<bool, WriteRefused> {
        if class == OTHERS {
            return Ok(true);
        }
        let mut evictions = 0;
        for of in BOTH {
            while let Some(refusal) = self.classes.refusal(class, of, more, Amount::default()) {
                if self.log.is_full() || evictions == EVICTIONS_PER_CALL_MAX {
                    return Ok(false);
                }
                evictions += 1;
                if !self.evict_own(class, of) {
                    self.classes.count_refused(class, refusal);
                    return Err(refusal);
                }
            }
        }
        Ok(true)
    }

    /// Evicts the next object of the same bucket or tenant, of the victims first; false if there is none.
    fn evict_own(&mut self, class: u8, of: QuotaOf) -> bool {
        self.tidy_victims();
        loop {
            if let Some(slot) = self.own_victim(class, of) {
                self.victims.remove(&mut self.objects[slot]);
                self.finish_eviction(slot, false);
                return true;
            }
            let own = self.classes.all_but_own(class, of);
            let Some(slot) = self.next_entry_but(own, Some(class)) else { return false };
            self.choose_entry(slot);
        }
    }

    /// The victim that was chosen first of those that leave for a write of the class.
    fn own_victim(&self, class: u8, of: QuotaOf) -> Option<u32> {
        let account = self.classes.account(class, of)?;
        if account.sealed == account.taken {
            return None;
        }
        let is_own = |(slot, generation): &(u32, u64)| {
            let other = self.is_victim(*slot, *generation).then(|| self.objects[*slot].class);
            other.is_some_and(|other| {
                self.classes.shares(class, other, of)
                    && !self.classes.is_due_to_stay(other, Some(class))
            })
        };
        self.victims.queued().find(is_own).map(|(slot, _)| slot)
    }
}
