//! Leases: acquire, release, renew.

use std::time::Duration;

use kvlease_types::{ByteSize, LeaseId, Timestamp};

use super::Catalog;
use crate::{
    extents::Extents,
    leases::Leases,
    objects::State,
    outcome::{Acquired, Lease, Released, WriteId},
};

impl Catalog {
    /// Leases an object to the caller until `ttl` from now.
    ///
    /// Until then the object is neither evicted nor moved, and for the grace after that its
    /// extents are not used again unless the lease was released.
    pub fn acquire(&mut self, bucket: &str, key: &str, ttl: Duration, now: Timestamp) -> Acquired {
        let hash = self.objects.hash(bucket, key);
        let slot = self.objects.find_hashed(hash, bucket, key);
        self.acquire_found(hash, slot, ttl, now)
    }

    /// Leases many objects of one bucket, as [`acquire`](Self::acquire) does one after the other,
    /// and hands each answer to `each` until that returns false.
    ///
    /// The whole batch is looked up first, so that the waits for memory of all of its keys
    /// overlap: most of the time that a key takes in a large catalog.
    pub fn acquire_many(
        &mut self,
        bucket: &str,
        keys: &[&str],
        ttl: Duration,
        now: Timestamp,
        mut each: impl FnMut(Acquired) -> bool,
    ) {
        for found in self.objects.find_many(bucket, keys) {
            // A lease that needs memory evicts: what was found may be gone.
            let slot = self.objects.still(&found);
            if !each(self.acquire_found(found.hash, slot, ttl, now)) {
                return;
            }
        }
    }

    fn acquire_found(
        &mut self,
        hash: u64,
        slot: Option<u32>,
        ttl: Duration,
        now: Timestamp,
    ) -> Acquired {
        let Some(slot) = slot else {
            return Acquired::Absent { evicted: self.gone.contains(hash) };
        };
        if self.objects[slot].state == State::Writing {
            let generation = self.objects[slot].generation;
            return Acquired::Writing(WriteId { slot, generation });
        }
        while self.leases.len() >= self.config.leases_max {
            if !self.expire_one(now) {
                return Acquired::TooManyLeases;
            }
        }
        // From here on the object is leased: making memory free cannot evict it.
        self.count_lease(slot);
        if !self.leases.has_vacancy() {
            if self.check_memory(Leases::LEASE_BYTES).is_err() {
                self.uncount_lease(slot);
                self.settle(slot);
                return Acquired::MemoryShort;
            }
            self.make_memory(Leases::LEASE_BYTES);
        }
        self.policy.touch(slot);
        Acquired::Leased(self.grant(slot, ttl, now))
    }

    /// Ends a lease. Its object may be evicted at once if nobody else reads it.
    pub fn release(&mut self, id: LeaseId, now: Timestamp) -> Released {
        if id.epoch != self.epoch {
            return Released::Unknown;
        }
        let Some(lease) = self.leases.release(id.sequence, now) else { return Released::Unknown };
        self.totals.released += 1;
        self.uncount_lease(lease.slot);
        self.settle(lease.slot);
        Released::Released { held: now.since(lease.granted) }
    }

    /// Moves the deadline of a live lease to `ttl` from now and returns it.
    ///
    /// `None` if the lease is not live: one that has expired is never revived.
    pub fn renew(&mut self, id: LeaseId, ttl: Duration, now: Timestamp) -> Option<Timestamp> {
        let deadline = now.after(ttl);
        let renewed = id.epoch == self.epoch && self.leases.renew(id.sequence, deadline, now);
        self.totals.renewed += u64::from(renewed);
        renewed.then_some(deadline)
    }

    /// The extents that a live lease lets its holder read; `None` if it is not live.
    pub fn leased_extents(&self, id: LeaseId, now: Timestamp) -> Option<Extents> {
        let slot = (id.epoch == self.epoch).then(|| self.leases.slot(id.sequence, now))??;
        Some(self.objects[slot].extents.clone())
    }

    fn grant(&mut self, slot: u32, ttl: Duration, now: Timestamp) -> Lease {
        let deadline = now.after(ttl);
        let sequence = self.leases.grant(slot, now, deadline);
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

    /// Adds a lease to a sealed object: it is pinned from then on.
    fn count_lease(&mut self, slot: u32) {
        if self.objects[slot].is_evictable() {
            self.evictable.subtract(&self.objects[slot]);
            self.policy.pin(slot);
        }
        let object = &mut self.objects[slot];
        if object.leases == 0 {
            self.leased_bytes += object.len;
        }
        object.leases += 1;
    }

    /// Takes a lease off an object. [`settle`](Self::settle) must follow.
    pub(super) fn uncount_lease(&mut self, slot: u32) {
        let object = &mut self.objects[slot];
        object.leases -= 1;
        if object.leases == 0 {
            self.leased_bytes -= object.len;
        }
    }

    /// Draws the conclusion when a lease or a hold on an object has ended: if nobody may read it
    /// any more, it is evictable, or free if it was removed.
    pub(super) fn settle(&mut self, slot: u32) {
        let object = &self.objects[slot];
        if !object.is_unread() {
            return;
        }
        match object.state {
            State::Sealed => {
                self.evictable.add(object);
                self.policy.unpin(slot);
            }
            State::Removed => {
                self.removed.subtract(object);
                self.free_object(slot);
            }
            State::Writing => unreachable!("nobody reads an unfinished object"),
        }
    }
}
