//! The table of live leases: by number, by deadline and by age.
//!
//! It holds what is live and nothing else: a released lease leaves all three orders at once, so
//! grants and releases without end take no more memory than the most leases that lived together.
//!
//! A lease is found by its number without a table: the low bits are its entry in the slab, the high
//! bits count the grants. So numbers rise, and none comes twice: with the default limit of leases
//! the count has 46 bits, which last for two years of a million grants a second.

use kvlease_types::{Owner, Timestamp};

use crate::{
    deadlines::Deadlines,
    eviction::{Links, List},
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
    by_deadline: Deadlines,
    links: Links,
    by_age: List,
    /// Grants so far.
    granted: u64,
    /// How many low bits of a number are the entry of the lease.
    id_bits: u32,
}

impl Leases {
    /// Memory per lease, for the accounting. The vectors of the deadlines may be half empty.
    pub(crate) const LEASE_BYTES: usize =
        (size_of::<Entry<LeaseRecord>>() + 2 * size_of::<u32>()) * 9 / 8
            + 2 * Deadlines::ENTRY_BYTES;

    /// Table for at most `leases_max` leases at once.
    pub(crate) fn new(leases_max: usize) -> Self {
        let last = u32::try_from(leases_max.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            records: Slab::new(),
            by_deadline: Deadlines::default(),
            links: Links::default(),
            by_age: List::default(),
            granted: 0,
            id_bits: u32::BITS - last.leading_zeros(),
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
        self.granted += 1;
        let sequence = self.granted << self.id_bits | u64::from(self.records.next_id());
        let id = self.records.insert(LeaseRecord { sequence, slot, owner, granted, deadline });
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
        for (id, record) in self.records.iter() {
            assert_eq!(self.id(record.sequence), id, "a number finds its lease");
            assert_eq!(self.by_deadline.get(id), Some(record.deadline), "its deadline is right");
        }
    }

    fn live(&self, sequence: u64, owner: Owner, now: Timestamp) -> Option<u32> {
        let id = self.id(sequence);
        let record = self.records.get(id)?;
        // The entry may have a later lease meanwhile.
        let same = record.sequence == sequence && record.owner == owner;
        (same && record.deadline > now).then_some(id)
    }

    /// The entry that the lease of this number has or had.
    const fn id(&self, sequence: u64) -> u32 {
        (sequence & ((1 << self.id_bits) - 1)) as u32
    }

    fn end(&mut self, id: u32) -> LeaseRecord {
        self.by_age.unlink(&mut self.links, id);
        self.records.remove(id).expect("every order names only live leases")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner::HTTP;
    const LEASES_MAX: usize = 1000;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn leases_expire_in_the_order_of_their_deadlines() {
        let mut leases = Leases::new(LEASES_MAX);
        let [first, second, third] =
            [30, 10, 20].map(|deadline| leases.grant(0, OWNER, at(0), at(deadline)));
        assert!(leases.renew(second, OWNER, at(40), at(9)));
        assert!(!leases.renew(third, OWNER, at(50), at(20)));
        leases.check();
        let expired = std::iter::from_fn(|| leases.pop_expired(at(35))).map(|l| l.sequence);
        assert_eq!(expired.collect::<Vec<_>>(), [third, first]);
        assert!(leases.release(second, OWNER, at(40)).is_none());
        assert!(leases.release(second, OWNER, at(39)).is_some());
        leases.check();
        assert_eq!(leases.len(), 0);
    }

    #[test]
    fn grants_and_releases_without_end_take_no_more_memory() {
        let mut leases = Leases::new(LEASES_MAX);
        for round in 0..1_000_000 {
            let sequence = leases.grant(7, OWNER, at(round), at(round + 1000));
            assert!(leases.release(sequence, OWNER, at(round + 1)).is_some());
        }
        assert_eq!((leases.len(), leases.span()), (0, 1));
    }

    #[test]
    fn numbers_rise_and_name_one_lease_whatever_entry_it_has() {
        for leases_max in [1, 2, 3, LEASES_MAX, usize::MAX] {
            let mut leases = Leases::new(leases_max);
            let mut last = 0;
            for _ in 0..leases_max.min(100) {
                // The same entry twice.
                let early = leases.grant(7, OWNER, at(0), at(100));
                assert!(leases.release(early, OWNER, at(1)).is_some());
                let late = leases.grant(8, OWNER, at(0), at(100));
                assert!(last < early && early < late);
                last = late;
                assert_eq!(leases.slot(early, OWNER, at(1)), None);
                assert!(leases.release(early, OWNER, at(1)).is_none());
                assert_eq!(leases.slot(late, OWNER, at(1)), Some(8));
            }
            assert!([0, 1, last + 1, u64::MAX].map(|n| leases.slot(n, OWNER, at(1))) == [None; 4]);
            leases.check();
        }
    }

    #[test]
    fn only_its_owner_ends_or_renews_a_lease() {
        let mut leases = Leases::new(LEASES_MAX);
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
