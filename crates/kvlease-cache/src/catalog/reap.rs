//! What ends by the clock: leases, the grace after them, quarantine.

use kvlease_types::{ByteSize, LeaseId, Timestamp};

use super::Catalog;
use crate::{leases::LeaseRecord, outcome::ExpiredLease};

impl Catalog {
    /// Ends at most `limit` things whose time has come, and returns the leases among them.
    ///
    /// Due things that are left are the next [`next_event`](Self::next_event). Calls that are
    /// short of space or of leases end due things as well: those leases are only in the totals.
    pub fn expire(&mut self, now: Timestamp, limit: usize) -> Vec<ExpiredLease> {
        let mut expired = Vec::new();
        for _ in 0..limit {
            if let Some(lease) = self.leases.pop_expired(now) {
                expired.push(self.describe(&lease));
                self.end_expired(&lease, now);
            } else if !self.free_one(now) {
                break;
            }
        }
        expired
    }

    /// Ends one thing whose time has come, if there is one.
    pub(super) fn reap_one(&mut self, now: Timestamp) -> bool {
        self.free_one(now) || self.expire_one(now)
    }

    /// Ends everything whose time has come; false if that was nothing.
    pub(super) fn reap_all(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while self.reap_one(now) {
            any = true;
        }
        any
    }

    /// Ends the lease that has been due for longest, if one is.
    pub(super) fn expire_one(&mut self, now: Timestamp) -> bool {
        let Some(lease) = self.leases.pop_expired(now) else { return false };
        self.end_expired(&lease, now);
        true
    }

    /// Ends one hold or quarantine that has passed, if there is one.
    fn free_one(&mut self, now: Timestamp) -> bool {
        if let Some(slot) = self.holds.pop_due(now) {
            self.objects[slot].held = false;
            self.settle(slot);
            return true;
        }
        self.quarantine.free_due(&mut self.space, now)
    }

    /// The reader may still be there until the grace is over: holds the object until then.
    fn end_expired(&mut self, lease: &LeaseRecord, now: Timestamp) {
        let slot = lease.slot;
        self.totals.expired_unreleased += 1;
        self.uncount_lease(slot);
        let until = lease.deadline.after(self.config.lease_grace);
        let until = self.holds.get(slot).map_or(until, |other| until.max(other));
        if until > now {
            self.holds.set(slot, until);
            self.objects[slot].held = true;
        }
        self.settle(slot);
    }

    fn describe(&self, lease: &LeaseRecord) -> ExpiredLease {
        let object = &self.objects[lease.slot];
        ExpiredLease {
            id: LeaseId { epoch: self.epoch, sequence: lease.sequence },
            bucket: self.objects.bucket(object.bucket).name.clone(),
            key: object.key.clone(),
            len: ByteSize::new(object.len),
        }
    }
}
