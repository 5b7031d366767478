//! Leases: acquire, release, renew.

use std::time::Duration;

use kvlease_types::{ByteSize, Caller, LeaseId, Miss, Timestamp};

use super::Catalog;
use crate::{
    changes::ChangeKind,
    classes::OTHERS,
    extents::Extents,
    leases::LeaseRecord,
    objects::{Object, State},
    outcome::{Lease, WriteId},
    references::ReferenceKind,
};

/// Leases of any owner that are due and that a grant ends at most, where a limit is reached.
const EXPIRED_PER_GRANT_MAX: usize = 128;

impl Catalog {
    /// Leases an object to the caller until `ttl` from now.
    ///
    /// Until then the object is neither evicted nor moved, and for the grace after that its
    /// extents are not used again unless the lease was released.
    pub fn acquire(
        &mut self,
        caller: &Caller,
        bucket: &str,
        key: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease, Miss> {
        let hash = self.objects.hash(bucket, key);
        let slot = self.objects.find_hashed(hash, bucket, key);
        self.acquire_found(caller, hash, slot, ttl, now)
    }

    /// Leases objects of one bucket, as [`acquire`](Self::acquire) does one after the other: each
    /// when its outcome is taken from the iterator, so that a caller may end early.
    ///
    /// The whole batch is looked up first, so that the waits for memory of all of its keys
    /// overlap: most of the time that a key takes in a large catalog.
    pub fn acquire_many(
        &mut self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        ttl: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = Result<Lease, Miss>> {
        let caller = *caller;
        self.objects.find_many(bucket, keys).into_iter().map(move |found| {
            // Nothing of what was found leaves meanwhile: no lease evicts.
            self.acquire_found(&caller, found.hash, found.slot, ttl, now)
        })
    }

    fn acquire_found(
        &mut self,
        caller: &Caller,
        hash: u64,
        slot: Option<u32>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease, Miss> {
        let Some(slot) = slot else {
            self.references.note(hash, 0, ReferenceKind::Missed);
            return Err(match self.gone.get(hash) {
                Some(true) => Miss::Elsewhere,
                Some(false) => Miss::Evicted,
                None => Miss::Absent,
            });
        };
        if self.objects[slot].state == State::Pending {
            return Err(Miss::Pending);
        }
        if self.classes.is_expired(&self.objects[slot], now) {
            return Err(Miss::Absent);
        }
        if let Some(refusal) = self.refusal(caller, slot, now) {
            if refusal == Miss::LeaseQuota {
                self.count_refused_lease(caller, slot);
            }
            return Err(refusal);
        }
        self.count_lease(slot);
        self.touch(slot);
        self.note_reference(slot, ReferenceKind::Found);
        Ok(self.grant(caller, slot, ttl, now))
    }

    /// Notes that the object of a slot was read without a lease, by a reader that found it in the
    /// published index. Returns its extents; `None` if it has left meanwhile.
    pub fn note_read(&mut self, slot: u32, generation: u64) -> Option<&Extents> {
        if !self.is_sealed(slot, generation) {
            return None;
        }
        if self.objects[slot].victim {
            self.spare_victim(slot);
        }
        self.touch(slot);
        self.note_reference(slot, ReferenceKind::Found);
        Some(&self.objects[slot].extents)
    }

    /// Reason why this caller gets no further lease, when some of the leases that are due were ended
    /// for it.
    fn refusal(&mut self, caller: &Caller, slot: u32, now: Timestamp) -> Option<Miss> {
        for _ in 0..EXPIRED_PER_GRANT_MAX {
            let refusal = self.lease_refusal(caller, slot)?;
            if !self.expire_one(now) {
                return Some(refusal);
            }
        }
        self.lease_refusal(caller, slot)
    }

    /// The write that is pending under this name.
    pub fn pending(&self, bucket: &str, key: &str) -> Option<WriteId> {
        let slot = self.objects.find(bucket, key)?;
        let Object { state, generation, .. } = self.objects[slot];
        (state == State::Pending).then_some(WriteId { slot, generation })
    }

    /// Ends a lease of the caller and returns how long it was held; `None` if it is not live.
    ///
    /// Its object may be evicted at once if it has no other reader.
    pub fn release(&mut self, caller: &Caller, id: LeaseId, now: Timestamp) -> Option<Duration> {
        if id.epoch != self.epoch {
            return None;
        }
        let lease = self.leases.release(id.sequence, caller.owner, now)?;
        Some(self.end_released(&lease, now))
    }

    /// Follows up the release of a lease. Returns how long it was held.
    fn end_released(&mut self, lease: &LeaseRecord, now: Timestamp) -> Duration {
        self.totals.released += 1;
        self.uncount_lease(lease.slot);
        self.reader_ended(lease.slot);
        now.since(lease.granted)
    }

    /// Ends the oldest leases of the caller, whose client has gone: at most `limit`. Returns how long
    /// those of them were held that were live; `None` behind the last lease.
    pub fn release_oldest(
        &mut self,
        caller: &Caller,
        limit: usize,
        now: Timestamp,
    ) -> Option<Vec<Duration>> {
        let mut held = None;
        for _ in 0..limit {
            let Some(lease) = self.leases.end_oldest(caller.owner) else { break };
            let held = held.get_or_insert_with(Vec::new);
            if lease.deadline > now {
                held.push(self.end_released(&lease, now));
            } else {
                self.end_expired(&lease, now);
            }
        }
        held
    }

    /// Moves the deadline of a live lease of the caller to `ttl` from now and returns it.
    ///
    /// `None` if the lease is not live: one that has expired is never revived.
    pub fn renew(
        &mut self,
        caller: &Caller,
        id: LeaseId,
        ttl: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let deadline = now.after(ttl);
        let renewed =
            id.epoch == self.epoch && self.leases.renew(id.sequence, caller.owner, deadline, now);
        self.totals.renewed += u64::from(renewed);
        renewed.then_some(deadline)
    }

    /// The extents that a live lease of the caller lets it read; `None` if it is not live.
    pub fn leased_extents(&self, caller: &Caller, id: LeaseId, now: Timestamp) -> Option<Extents> {
        if id.epoch != self.epoch {
            return None;
        }
        let slot = self.leases.slot(id.sequence, caller.owner, now)?;
        Some(self.objects[slot].extents.clone())
    }

    fn grant(&mut self, caller: &Caller, slot: u32, ttl: Duration, now: Timestamp) -> Lease {
        let deadline = now.after(ttl);
        let sequence = self.leases.grant(slot, caller, now, deadline);
        self.totals.granted += 1;
        let object = &self.objects[slot];
        Lease {
            id: LeaseId { epoch: self.epoch, sequence },
            slot,
            extents: object.extents.clone(),
            len: ByteSize::new(object.len),
            checksum: object.checksum,
            generation: object.generation,
            deadline,
            verified: object.verified,
        }
    }

    /// Adds a lease to a sealed object: it is pinned from then on, and no victim any more.
    fn count_lease(&mut self, slot: u32) {
        if self.objects[slot].is_evictable() {
            self.subtract_evictable(slot);
            if self.objects[slot].victim {
                self.spare_victim(slot);
            }
            if self.objects[slot].victim {
                self.drop_victim(slot);
            } else {
                self.pin(slot);
            }
        }
        let object = &mut self.objects[slot];
        if object.leases == 0 {
            self.leased_bytes += object.len;
        }
        object.leases += 1;
        if object.class != OTHERS {
            self.classes.get_mut(object.class).account.leases += 1;
        }
    }

    /// Takes a lease off an object. [`reader_ended`](Self::reader_ended) must follow.
    pub(super) fn uncount_lease(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        object.leases -= 1;
        if object.leases == 0 {
            self.leased_bytes -= object.len;
        }
        if object.class != OTHERS {
            self.classes.get_mut(object.class).account.leases -= 1;
        }
    }

    /// Follows up the end of a lease or grace: an object without readers is evictable, or departs
    /// if it was removed.
    pub(super) fn reader_ended(&mut self, slot: u32) {
        let object = &self.objects[slot];
        if !object.is_unread() {
            return;
        }
        match object.state {
            State::Sealed if object.is_kept() => {}
            State::Sealed => {
                self.add_evictable(slot);
                self.unpin(slot);
            }
            State::Removed => {
                self.removed.subtract(object);
                self.depart(slot, ChangeKind::Freed);
            }
            State::Pending | State::Departed => {
                unreachable!("only sealed and removed objects have readers")
            }
        }
    }
}
