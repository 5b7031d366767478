//! Expiry: leases, the grace after them, quarantine.

use kvlease_types::{ByteSize, LeaseId, Timestamp};

use super::Catalog;
use crate::{leases::LeaseRecord, outcome::ExpiredLease};

impl Catalog {
    /// Ends at most `limit` leases, graces and quarantines whose time has come, fewer if the change
    /// log is full, and returns the leases among them.
    ///
    /// To be called regularly: calling late only delays the reuse of space. Calls that are short of
    /// space or of leases end what is due as well: those leases are only in the totals.
    pub fn expire(&mut self, now: Timestamp, limit: usize) -> Vec<ExpiredLease> {
        self.clock = self.clock.max(now);
        let mut expired = Vec::new();
        for _ in 0..limit {
            if self.log.is_full() {
                break;
            }
            if let Some(lease) = self.leases.pop_expired(now) {
                expired.push(self.describe(&lease));
                self.end_expired(&lease, now);
            } else if !self.free_one(now) {
                break;
            }
        }
        expired
    }

    /// Ends one lease, grace or quarantine whose time has come, if there is one.
    pub(super) fn reap_one(&mut self, now: Timestamp) -> bool {
        self.free_one(now) || self.expire_one(now)
    }

    /// Ends all whose time has come, until the change log is full; false if there was none.
    pub(super) fn reap_all(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while !self.log.is_full() && self.reap_one(now) {
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

    /// Ends one grace or quarantine that has passed, if there is one.
    fn free_one(&mut self, now: Timestamp) -> bool {
        if let Some(slot) = self.grace_deadlines.pop_due(now) {
            self.objects[slot].in_grace = false;
            self.reader_ended(slot);
            return true;
        }
        self.quarantine.free_due(&mut self.space, now)
    }

    /// Puts the object into grace: the reader may still be there until that is over.
    pub(super) fn end_expired(&mut self, lease: &LeaseRecord, now: Timestamp) {
        let slot = lease.slot;
        self.totals.expired_unreleased += 1;
        self.uncount_lease(slot);
        let until = lease.deadline.after(self.config.lease_grace);
        let until = self.grace_deadlines.get(slot).map_or(until, |other| until.max(other));
        if until > now {
            self.grace_deadlines.set(slot, until);
            self.objects[slot].in_grace = true;
        }
        self.reader_ended(slot);
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
