//! The table of live leases: by number, by deadline and by age.
//!
//! It holds what is live and nothing else: a released lease leaves all three orders at once, so
//! grants and releases without end take no more memory than the most leases that lived together.

use hashbrown::HashMap;
use kvlease_types::{Owner, Timestamp};

use crate::{
    deadlines::Deadlines,
    eviction::{Links, List},
    hash::NumberState,
    slab::{Entry, Slab},
};

/// One live lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRecord {
    pub(crate) sequence: u64,
    /// Slot of the object.
    pub(crate) slot: u32,
    /// The only caller that may release or renew it.
    pub(crate) owner: Owner,
    pub(crate) granted: Timestamp,
    pub(crate) deadline: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leases {
    records: Slab<LeaseRecord>,
    by_sequence: HashMap<u64, u32, NumberState>,
    by_deadline: Deadlines,
    links: Links,
    by_age: List,
    sequence: u64,
}

impl Leases {
    /// Memory per lease, for the accounting; a hash table may be half empty.
    pub(crate) const LEASE_BYTES: usize =
        (size_of::<Entry<LeaseRecord>>() + 2 * size_of::<u32>()) * 9 / 8
            + 2 * Deadlines::ENTRY_BYTES
            + 2 * (size_of::<(u64, u32)>() + 1);

    pub(crate) fn new() -> Self {
        Self {
            records: Slab::new(),
            by_sequence: HashMap::default(),
            by_deadline: Deadlines::default(),
            links: Links::default(),
            by_age: List::default(),
            sequence: 0,
        }
    }

    /// Adds a lease on the object in `slot` and returns its number.
    pub(crate) fn grant(
        &mut self,
        slot: u32,
        owner: Owner,
        granted: Timestamp,
        deadline: Timestamp,
    ) -> u64 {
        self.sequence += 1;
        let sequence = self.sequence;
        let id = self.records.insert(LeaseRecord { sequence, slot, owner, granted, deadline });
        self.by_sequence.insert(sequence, id);
        self.by_deadline.set(id, deadline);
        self.by_age.push_front(&mut self.links, id);
        sequence
    }

    /// Ends a lease of `owner` whose deadline is still ahead.
    pub(crate) fn release(
        &mut self,
        sequence: u64,
        owner: Owner,
        now: Timestamp,
    ) -> Option<LeaseRecord> {
        let id = self.live(sequence, owner, now)?;
        self.by_deadline.remove(id);
        Some(self.end(id))
    }

    /// Moves the deadline of a lease of `owner` that has not passed it.
    pub(crate) fn renew(
        &mut self,
        sequence: u64,
        owner: Owner,
        deadline: Timestamp,
        now: Timestamp,
    ) -> bool {
        let Some(id) = self.live(sequence, owner, now) else { return false };
        self.records[id].deadline = deadline;
        self.by_deadline.set(id, deadline);
        true
    }

    /// The object of a lease of `owner` that has not passed its deadline.
    pub(crate) fn slot(&self, sequence: u64, owner: Owner, now: Timestamp) -> Option<u32> {
        self.live(sequence, owner, now).map(|id| self.records[id].slot)
    }

    /// Ends the lease with the earliest deadline if that has passed.
    pub(crate) fn pop_expired(&mut self, now: Timestamp) -> Option<LeaseRecord> {
        let id = self.by_deadline.pop_due(now)?;
        Some(self.end(id))
    }

    /// When the oldest lease was granted.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.by_age.back().map(|id| self.records[id].granted)
    }

    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    /// Entries, holes included: what the memory is accounted by.
    pub(crate) const fn span(&self) -> usize {
        self.records.span()
    }

    /// Whether the next grant needs no more memory.
    pub(crate) const fn has_vacancy(&self) -> bool {
        self.records.has_vacancy()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LeaseRecord> {
        self.records.iter().map(|(_, record)| record)
    }

    /// Asserts that all orders hold the same leases.
    pub(crate) fn check(&self) {
        self.by_deadline.check();
        self.by_age.check(&self.links);
        assert_eq!(self.by_age.len(), self.len() as u64, "every lease has its age");
        assert_eq!(self.by_deadline.len(), self.len(), "every lease has its deadline");
        assert_eq!(self.by_sequence.len(), self.len(), "every lease has its number");
        for (id, record) in self.records.iter() {
            assert_eq!(self.by_sequence.get(&record.sequence), Some(&id), "a number finds it");
            assert_eq!(self.by_deadline.get(id), Some(record.deadline), "its deadline is right");
        }
    }

    fn live(&self, sequence: u64, owner: Owner, now: Timestamp) -> Option<u32> {
        let id = *self.by_sequence.get(&sequence)?;
        let record = &self.records[id];
        (record.owner == owner && record.deadline > now).then_some(id)
    }

    fn end(&mut self, id: u32) -> LeaseRecord {
        self.by_age.unlink(&mut self.links, id);
        let record = self.records.remove(id).expect("every order names only live leases");
        self.by_sequence.remove(&record.sequence);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner::HTTP;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn leases_expire_in_the_order_of_their_deadlines() {
        let mut leases = Leases::new();
        for deadline in [30, 10, 20] {
            leases.grant(0, OWNER, at(0), at(deadline));
        }
        assert!(leases.renew(2, OWNER, at(40), at(9)));
        assert!(!leases.renew(3, OWNER, at(50), at(20)));
        leases.check();
        let expired = std::iter::from_fn(|| leases.pop_expired(at(35))).map(|l| l.sequence);
        assert_eq!(expired.collect::<Vec<_>>(), [3, 1]);
        assert!(leases.release(2, OWNER, at(40)).is_none());
        assert!(leases.release(2, OWNER, at(39)).is_some());
        leases.check();
        assert_eq!(leases.len(), 0);
    }

    #[test]
    fn grants_and_releases_without_end_take_no_more_memory() {
        let mut leases = Leases::new();
        for round in 0..1_000_000 {
            let sequence = leases.grant(7, OWNER, at(round), at(round + 1000));
            assert!(leases.release(sequence, OWNER, at(round + 1)).is_some());
        }
        assert_eq!((leases.len(), leases.span()), (0, 1));
        assert!(leases.by_sequence.capacity() < 8);
    }

    #[test]
    fn only_its_owner_ends_or_renews_a_lease() {
        let mut leases = Leases::new();
        let sequence = leases.grant(7, Owner::connection(1), at(0), at(100));
        for other in [Owner::HTTP, Owner::DAEMON, Owner::connection(2)] {
            assert!(leases.release(sequence, other, at(1)).is_none());
            assert!(!leases.renew(sequence, other, at(200), at(1)));
            assert_eq!(leases.slot(sequence, other, at(1)), None);
        }
        assert_eq!(leases.slot(sequence, Owner::connection(1), at(1)), Some(7));
        assert!(leases.release(sequence, Owner::connection(1), at(99)).is_some());
    }
}
