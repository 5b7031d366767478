//! The table of live leases: by number, by deadline, by age, by owner and by user.
//!
//! It holds what is live and nothing else: a released lease leaves all orders at once, so grants and
//! releases without end take no more memory than the most leases that lived together. With the last
//! lease the memory of a large table is given back.
//!
//! Leases are limited, in sum, per owner, per user, per tenant and in memory: no owner takes all of them, no
//! user does with many connections, and none of them takes what is the objects'.
//!
//! A lease is found by its number without a table: the low bits are its entry in the slab, the high
//! bits count the grants. So numbers rise, and none comes twice: with the default limit of leases
//! the count has 46 bits, which last for two years of a million grants a second.

use std::collections::BTreeMap;

use hashbrown::hash_map::Entry as MapEntry;
use kvlease_types::{Caller, Miss, Owner, Quota, TenantId, Timestamp, User};

use crate::{
    deadlines::Deadlines,
    eviction::{Links, List},
    hash::NumberMap,
    slab::{Entry, Slab},
};

/// Entries of an empty table that are kept for the leases to come.
const KEPT_MAX: usize = 1024;

/// One live lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRecord {
    pub(crate) sequence: u64,
    /// Slot of the object.
    pub(crate) slot: u32,
    /// Account of the only caller that may release or renew it.
    account: u32,
    pub(crate) granted: Timestamp,
    pub(crate) deadline: Timestamp,
}

/// The leases of one owner, which has at least one.
#[derive(Debug)]
struct Account {
    owner: Owner,
    /// Its user's place in the slab of users.
    user: u32,
    /// The one tenant that its callers are.
    tenant: Option<TenantId>,
    /// By age.
    leases: List,
}

/// Leases of one user.
#[derive(Debug)]
struct Share {
    user: User,
    leases: u32,
}

/// Leases of a tenant.
#[derive(Clone, Copy, Debug)]
struct TenantShare {
    leases: u64,
    refused: u64,
    most: u64,
}

/// Most leases at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseLimits {
    /// In sum.
    pub(crate) total: usize,
    /// Of one owner.
    pub(crate) per_owner: usize,
    /// Of all owners that are one user's.
    pub(crate) per_user: usize,
    /// Memory of the table.
    pub(crate) memory: usize,
}

impl LeaseLimits {
    /// Most leases that these limits allow.
    pub(crate) fn leases(&self) -> usize {
        self.total.min(self.memory / Leases::LEASE_BYTES)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leases {
    limits: LeaseLimits,
    records: Slab<LeaseRecord>,
    by_deadline: Deadlines,
    links: Links,
    by_age: List,
    accounts: Slab<Account>,
    by_owner: NumberMap<Owner, u32>,
    /// Account of the latest owner: a batch asks for that of one owner twice for each key.
    latest: Option<(Owner, u32)>,
    /// Users that have leases.
    shares: Slab<Share>,
    by_user: NumberMap<User, u32>,
    /// By the places of tenants; empty if none of them has a limit.
    tenants: Vec<TenantShare>,
    /// Links of the accounts' lists.
    account_links: Links,
    /// Grants so far.
    granted: u64,
    /// How many low bits of a number are the entry of the lease.
    id_bits: u32,
}

impl Leases {
    /// Memory per lease, for the accounting, and that of an account for it: each may have an owner and
    /// a user of its own. The vectors of the deadlines and the tables of both may be half empty.
    pub(crate) const LEASE_BYTES: usize = (size_of::<Entry<LeaseRecord>>()
        + size_of::<Entry<Account>>()
        + size_of::<Entry<Share>>()
        + 2 * Links::LINK_BYTES)
        * 9
        / 8
        + 2 * Deadlines::ENTRY_BYTES
        + 2 * (size_of::<(Owner, u32)>() + 1)
        + 2 * (size_of::<(User, u32)>() + 1);

    /// Empty table with these limits, and those of tenants.
    pub(crate) fn new(limits: LeaseLimits, tenants: &[Quota]) -> Self {
        let share = |most: Option<u64>| TenantShare {
            leases: 0,
            refused: 0,
            most: most.unwrap_or(u64::MAX),
        };
        let tenants = tenants.iter().map(|quota| share(quota.leases_max)).collect();
        Self::of_tenants(limits, tenants)
    }

    /// Changes the limits of tenants. Leases that are live stay.
    pub(crate) fn set_tenants(&mut self, tenants: &[Quota]) {
        for (share, quota) in self.tenants.iter_mut().zip(tenants) {
            share.most = quota.leases_max.unwrap_or(u64::MAX);
        }
    }

    fn of_tenants(limits: LeaseLimits, tenants: Vec<TenantShare>) -> Self {
        let last = u32::try_from(limits.leases().saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            limits,
            records: Slab::new(),
            by_deadline: Deadlines::default(),
            links: Links::default(),
            by_age: List::default(),
            accounts: Slab::new(),
            by_owner: NumberMap::default(),
            latest: None,
            shares: Slab::new(),
            by_user: NumberMap::default(),
            tenants,
            account_links: Links::default(),
            granted: 0,
            id_bits: u32::BITS - last.leading_zeros(),
        }
    }

    /// Adds a lease on the object in `slot` and returns its number.
    pub(crate) fn grant(
        &mut self,
        slot: u32,
        caller: &Caller,
        granted: Timestamp,
        deadline: Timestamp,
    ) -> u64 {
        self.granted += 1;
        let sequence = self.granted << self.id_bits | u64::from(self.records.next_id());
        let account = self.account(caller);
        let id = self.records.insert(LeaseRecord { sequence, slot, account, granted, deadline });
        self.by_deadline.set(id, deadline);
        self.by_age.push_front(&mut self.links, id);
        let account = &mut self.accounts[account];
        account.leases.push_front(&mut self.account_links, id);
        self.shares[account.user].leases += 1;
        if let Some(share) = share_of(&mut self.tenants, account.tenant) {
            share.leases += 1;
        }
        sequence
    }

    /// Account of an owner, if it has one.
    fn known(&self, owner: Owner) -> Option<u32> {
        match self.latest {
            Some((latest, account)) if latest == owner => Some(account),
            _ => self.by_owner.get(&owner).copied(),
        }
    }

    /// Account of a caller's owner, which is made if it has none.
    fn account(&mut self, caller: &Caller) -> u32 {
        let account = self.known(caller.owner).unwrap_or_else(|| self.open_account(caller));
        self.latest = Some((caller.owner, account));
        account
    }

    fn open_account(&mut self, caller: &Caller) -> u32 {
        let user = caller.user();
        let user = match self.by_user.entry(user) {
            MapEntry::Occupied(known) => *known.get(),
            MapEntry::Vacant(vacant) => {
                *vacant.insert(self.shares.insert(Share { user, leases: 0 }))
            }
        };
        let (owner, tenant) = (caller.owner, caller.tenant);
        let account = Account { owner, user, tenant, leases: List::default() };
        let account = self.accounts.insert(account);
        self.by_owner.insert(owner, account);
        account
    }

    /// Reason why this caller gets no further lease as things are.
    pub(crate) fn refusal(&self, caller: &Caller) -> Option<Miss> {
        let LeaseLimits { total, per_owner, per_user, .. } = self.limits;
        let (owned, used) = match self.known(caller.owner) {
            Some(account) => {
                let Account { user, leases, .. } = &self.accounts[account];
                (leases.len(), self.shares[*user].leases as usize)
            }
            None => (0, self.used(caller.user())),
        };
        if self.len() >= total || owned >= per_owner as u64 || used >= per_user {
            return Some(Miss::TooManyLeases);
        }
        let share = caller.tenant.and_then(|tenant| self.tenants.get(tenant.place()));
        if share.is_some_and(|share| share.leases >= share.most) {
            return Some(Miss::LeaseQuota);
        }
        (self.len() >= self.limits.leases()).then_some(Miss::MemoryShort)
    }

    /// Leases of a tenant, and how many were refused to it for its quota.
    pub(crate) fn of_tenant(&self, tenant: TenantId) -> (u64, u64) {
        self.tenants.get(tenant.place()).map_or((0, 0), |share| (share.leases, share.refused))
    }

    /// Counts a refusal, if it is for the quota of the caller's tenant.
    pub(crate) fn count_refused(&mut self, caller: &Caller) -> bool {
        let share = share_of(&mut self.tenants, caller.tenant);
        let full = share.filter(|share| share.leases >= share.most);
        full.map(|share| share.refused += 1).is_some()
    }

    /// Leases of a user.
    fn used(&self, user: User) -> usize {
        self.by_user.get(&user).map_or(0, |share| self.shares[*share].leases as usize)
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

    /// Ends the oldest lease of `owner`.
    pub(crate) fn end_oldest(&mut self, owner: Owner) -> Option<LeaseRecord> {
        let account = *self.by_owner.get(&owner)?;
        let id = self.accounts[account].leases.back()?;
        self.by_deadline.remove(id);
        Some(self.end(id))
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

    /// When leases were granted whose entries are from `from` to `to`, and whether there are entries behind.
    pub(crate) fn granted(&self, from: u32, to: u32) -> (impl Iterator<Item = Timestamp>, bool) {
        let granted = (from..to).filter_map(|id| self.records.get(id)).map(|record| record.granted);
        (granted, (to as usize) < self.records.span())
    }

    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    /// Most leases at once.
    pub(crate) const fn limits(&self) -> LeaseLimits {
        self.limits
    }

    /// Memory of the table, holes included.
    pub(crate) const fn memory(&self) -> usize {
        self.records.span() * Self::LEASE_BYTES
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
        self.check_accounts();
    }

    fn check_accounts(&self) {
        assert!(self.accounts.span() <= self.records.span(), "no more accounts than leases");
        let (mut owned, mut used) = (0, BTreeMap::new());
        let mut of_tenants = vec![0; self.tenants.len()];
        for (id, account) in self.accounts.iter() {
            account.leases.check(&self.account_links);
            let leases = || account.leases.iter(&self.account_links);
            assert!(
                leases().all(|lease| self.records[lease].account == id),
                "an owner has its own"
            );
            assert_eq!(self.by_owner.get(&account.owner), Some(&id), "an owner has one account");
            let len = account.leases.len();
            assert!((1..=self.limits.per_owner as u64).contains(&len), "an owner is limited");
            owned += len;
            let tenant = account.tenant.and_then(|tenant| of_tenants.get_mut(tenant.place()));
            if let Some(leases) = tenant {
                *leases += len;
            }
            *used.entry(self.shares[account.user].user).or_insert(0) += len;
        }
        assert_eq!(self.by_user.len(), used.len(), "every user has leases");
        for (user, used) in used {
            assert_eq!(self.used(user) as u64, used, "the leases of a user are counted");
            assert!(used <= self.limits.per_user as u64, "a user is limited");
        }
        let known = self.tenants.iter().map(|share| share.leases);
        assert_eq!(of_tenants, known.collect::<Vec<_>>(), "the leases of a tenant are counted");
        assert_eq!(owned, self.len() as u64, "every lease has its owner");
        assert_eq!(self.by_owner.len(), self.accounts.len(), "every account has its owner");
        if let Some((owner, account)) = self.latest {
            assert_eq!(self.by_owner.get(&owner), Some(&account), "the latest one has its account");
        }
        assert!(self.len() <= self.limits.total, "leases have a limit");
        assert!(self.memory() <= self.limits.memory, "their memory has a limit");
    }

    fn live(&self, sequence: u64, owner: Owner, now: Timestamp) -> Option<u32> {
        let id = self.id(sequence);
        let record = self.records.get(id)?;
        // The entry may have a later lease meanwhile.
        let same = record.sequence == sequence && self.accounts[record.account].owner == owner;
        (same && record.deadline > now).then_some(id)
    }

    /// The entry that the lease of this number has or had.
    const fn id(&self, sequence: u64) -> u32 {
        (sequence & ((1 << self.id_bits) - 1)) as u32
    }

    fn end(&mut self, id: u32) -> LeaseRecord {
        self.by_age.unlink(&mut self.links, id);
        let record = self.records.remove(id).expect("every order names only live leases");
        let account = &mut self.accounts[record.account];
        account.leases.unlink(&mut self.account_links, id);
        let share = account.user;
        self.shares[share].leases -= 1;
        if let Some(share) = share_of(&mut self.tenants, account.tenant) {
            share.leases -= 1;
        }
        if account.leases.is_empty() {
            let owner = account.owner;
            self.by_owner.remove(&owner);
            self.accounts.remove(record.account);
            self.latest = None;
            // The last lease of a user is the last of one of its owners.
            if self.shares[share].leases == 0
                && let Some(Share { user, .. }) = self.shares.remove(share)
            {
                self.by_user.remove(&user);
            }
            self.shrink();
        }
        record
    }

    /// Gives the memory of a table back that was large and is empty. Numbers rise on.
    fn shrink(&mut self) {
        if self.records.len() == 0 && self.records.span() > KEPT_MAX {
            let tenants = std::mem::take(&mut self.tenants);
            *self = Self { granted: self.granted, ..Self::of_tenants(self.limits, tenants) };
        }
    }
}

fn share_of(tenants: &mut [TenantShare], tenant: Option<TenantId>) -> Option<&mut TenantShare> {
    tenant.and_then(|tenant| tenants.get_mut(tenant.place()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller = Caller::DAEMON;
    const OWNER: Owner = CALLER.owner;
    const LEASES_MAX: usize = 1000;

    fn table(total: usize) -> Leases {
        let limits = LeaseLimits { total, per_owner: total, per_user: total, memory: usize::MAX };
        Leases::new(limits, &[])
    }

    fn lane(connection: u32, uid: u32) -> Caller {
        Caller::lane(connection, uid, 0, None)
    }

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn leases_expire_in_the_order_of_their_deadlines() {
        let mut leases = table(LEASES_MAX);
        let [first, second, third] =
            [30, 10, 20].map(|deadline| leases.grant(0, &CALLER, at(0), at(deadline)));
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
        let mut leases = table(LEASES_MAX);
        for round in 0..1_000_000 {
            let sequence = leases.grant(7, &CALLER, at(round), at(round + 1000));
            assert!(leases.release(sequence, OWNER, at(round + 1)).is_some());
        }
        assert_eq!((leases.len(), leases.records.span()), (0, 1));
        assert_eq!((leases.accounts.span(), leases.by_owner.len()), (1, 0));
    }

    #[test]
    fn numbers_rise_and_name_one_lease_whatever_entry_it_has() {
        for leases_max in [1, 2, 3, LEASES_MAX, usize::MAX] {
            let mut leases = table(leases_max);
            let mut last = 0;
            for _ in 0..leases_max.min(100) {
                // The same entry twice.
                let early = leases.grant(7, &CALLER, at(0), at(100));
                assert!(leases.release(early, OWNER, at(1)).is_some());
                let late = leases.grant(8, &CALLER, at(0), at(100));
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
        let mut leases = table(LEASES_MAX);
        let sequence = leases.grant(7, &lane(1, 0), at(0), at(100));
        for other in [Owner::HTTP, Owner::DAEMON, lane(2, 0).owner] {
            assert!(leases.release(sequence, other, at(1)).is_none());
            assert!(!leases.renew(sequence, other, at(200), at(1)));
            assert_eq!(leases.slot(sequence, other, at(1)), None);
        }
        assert_eq!(leases.slot(sequence, lane(1, 0).owner, at(1)), Some(7));
        assert!(leases.release(sequence, lane(1, 0).owner, at(99)).is_some());
    }

    #[test]
    fn an_owner_at_its_limit_leaves_the_rest_to_others() {
        let limits = LeaseLimits { total: 5, per_owner: 3, per_user: 5, memory: usize::MAX };
        let mut leases = Leases::new(limits, &[]);
        let [greedy, other] = [1, 2].map(|connection| lane(connection, 0));
        let first = leases.grant(7, &greedy, at(0), at(100));
        (0..2).for_each(|_| _ = leases.grant(7, &greedy, at(0), at(100)));
        assert_eq!(leases.refusal(&greedy), Some(Miss::TooManyLeases));
        assert_eq!(leases.refusal(&other), None);
        (0..2).for_each(|_| _ = leases.grant(7, &other, at(0), at(100)));
        assert_eq!(leases.refusal(&other), Some(Miss::TooManyLeases), "in sum");
        leases.check();
        assert!(leases.release(first, greedy.owner, at(1)).is_some());
        assert_eq!(leases.refusal(&greedy), None);
        let ended = std::iter::from_fn(|| leases.end_oldest(other.owner)).count();
        assert_eq!((ended, leases.len()), (2, 2));
        leases.check();
    }

    #[test]
    fn a_user_at_its_limit_leaves_the_rest_to_others_whatever_connection_it_opens() {
        let limits = LeaseLimits { total: 5, per_owner: 3, per_user: 4, memory: usize::MAX };
        let mut leases = Leases::new(limits, &[]);
        let grant = |leases: &mut Leases, caller| leases.grant(7, caller, at(0), at(100));
        let [first, second, third] = [1, 2, 3].map(|connection| lane(connection, 0));
        (0..3).for_each(|_| _ = grant(&mut leases, &first));
        assert_eq!(leases.refusal(&second), None, "of the user's four it has three");
        grant(&mut leases, &second);
        for connection in [&first, &second, &third] {
            assert_eq!(leases.refusal(connection), Some(Miss::TooManyLeases));
        }
        let http = Caller::http(([127, 0, 0, 1], 80).into());
        for other in [&lane(4, 1), &http, &Caller::DAEMON] {
            assert_eq!(leases.refusal(other), None);
            let lease = grant(&mut leases, other);
            leases.check();
            assert!(leases.release(lease, other.owner, at(1)).is_some());
        }
        // With a connection its part of the user's share comes back.
        assert!(leases.end_oldest(second.owner).is_some());
        leases.check();
        assert_eq!(leases.refusal(&third), None);
        while leases.pop_expired(at(100)).is_some() {}
        leases.check();
        assert_eq!(leases.by_user.len(), 0);
    }

    #[test]
    fn a_tenant_has_its_quota_over_http_and_the_lane_together() {
        let limits = LeaseLimits { total: 9, per_owner: 9, per_user: 9, memory: usize::MAX };
        let quota = |leases_max| Quota { leases_max, ..Quota::default() };
        let mut leases = Leases::new(limits, &[quota(Some(2)), quota(None)]);
        let http = |place| Caller::http(([127, 0, 0, 1], 80).into()).of_tenant(TenantId::at(place));
        let first = [http(0), lane(1, 0).of_tenant(TenantId::at(0))];
        let [one, _] = first.map(|caller| leases.grant(7, &caller, at(0), at(100)));
        for caller in &first {
            assert_eq!(leases.refusal(caller), Some(Miss::LeaseQuota));
        }
        for other in [http(1), Caller::http(([127, 0, 0, 1], 80).into()), lane(1, 0)] {
            assert_eq!(leases.refusal(&other), None);
        }
        assert!(leases.release(one, http(1).owner, at(1)).is_none(), "it is another tenant's");
        leases.check();
        assert!(leases.release(one, http(0).owner, at(1)).is_some());
        assert_eq!(leases.refusal(&first[1]), None);
        assert!(!leases.count_refused(&first[0]), "it is within its quota");
        assert_eq!(leases.of_tenant(TenantId::at(0).unwrap()), (1, 0));
        leases.check();
    }

    #[test]
    fn the_memory_of_many_leases_is_given_back_with_the_last() {
        let mut leases = table(10 * KEPT_MAX);
        let grant = |leases: &mut Leases| leases.grant(7, &CALLER, at(0), at(100));
        let last = (0..10 * KEPT_MAX).map(|_| grant(&mut leases)).last().unwrap();
        let memory = leases.memory();
        while leases.pop_expired(at(100)).is_some() {}
        assert!(leases.memory() < memory / 10, "{}", leases.memory());
        leases.check();
        assert!(grant(&mut leases) > last, "numbers rise on");
    }
}
