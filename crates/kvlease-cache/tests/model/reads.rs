//! Leases and removals, on the catalog and its model.

use std::time::Duration;

use kvlease_cache::Lease as Granted;
use kvlease_types::{Caller, Epoch, LeaseId, Miss, RemoveRefused};

use crate::{
    naive::{Lease, State},
    run::Run,
};

/// Callers: that of a model's lease is its place here. The last two are connections of one user.
const CALLERS: [Caller; 3] =
    [Caller::DAEMON, Caller::lane(1, 0, 0, None), Caller::lane(2, 0, 0, None)];

impl Run {
    pub(crate) fn acquire(&mut self) {
        let evicted = if self.draws.one_in(4) { self.evicted_name() } else { None };
        let name = evicted.unwrap_or_else(|| self.known_name());
        let ttl = Duration::from_nanos(self.draws.below(600));
        self.lease(&name, ttl);
    }

    pub(crate) fn lease(&mut self, name: &(String, String), ttl: Duration) {
        let owner = self.draws.below(CALLERS.len() as u64) as usize;
        let caller = &CALLERS[owner];
        let acquired = self.catalog.acquire(caller, &name.0, &name.1, ttl, self.model.now);
        self.check_lease(name, owner, ttl, acquired);
        self.observe();
        self.model.pass();
    }

    pub(crate) fn acquire_many(&mut self) {
        let (bucket, _) = self.known_name();
        let count = 1 + self.draws.below(40);
        let named: Vec<_> = (0..count).map(|_| (bucket.clone(), self.known_name().1)).collect();
        let keys: Vec<&str> = named.iter().map(|(_, key)| key.as_str()).collect();
        let ttl = Duration::from_nanos(self.draws.below(600));
        let mut there = Vec::new();
        self.catalog.contains_many(&bucket, &keys, |sealed| there.push(sealed));
        for (name, there) in named.iter().zip(there) {
            let number = self.model.named.get(name);
            let sealed = |number| matches!(self.model.objects[number].state, State::Sealed(_));
            assert_eq!(there, number.is_some_and(sealed));
        }
        let wanted = self.draws.below(count + 10) as usize;
        let owner = self.draws.below(CALLERS.len() as u64) as usize;
        let caller = &CALLERS[owner];
        let answers = self.catalog.acquire_many(caller, &bucket, &keys, ttl, self.model.now);
        let answers: Vec<_> = answers.take(wanted).collect();
        assert_eq!(answers.len(), keys.len().min(wanted), "it ends when no more is taken");
        for (name, acquired) in named.iter().zip(answers) {
            self.check_lease(name, owner, ttl, acquired);
        }
        self.observe();
        self.model.pass();
    }

    fn check_lease(
        &mut self,
        name: &(String, String),
        owner: usize,
        ttl: Duration,
        acquired: Result<Granted, Miss>,
    ) {
        let now = self.model.now;
        let known = self.model.named.get(name).copied();
        match acquired {
            Ok(lease) => {
                let object = known.expect("what is leased is in the model");
                let State::Sealed(info) = &self.model.objects[&object].state else {
                    panic!("only a sealed object is leased")
                };
                assert_eq!((&lease.extents, lease.len), (&info.extents, info.len));
                assert_eq!((lease.checksum, lease.generation), (info.checksum, info.generation));
                assert_eq!(lease.deadline, now.after(ttl));
                let generation = self.readers.generation(lease.slot);
                assert_eq!(generation, lease.generation, "it can be read once drained");
                let id = (lease.id.epoch.number(), lease.id.sequence);
                let deadline = lease.deadline;
                let known = Lease { object, owner, granted: now, deadline };
                let before = self.model.leases.insert(id, known);
                assert!(before.is_none(), "a lease id is used once");
                self.spare(lease.generation);
                self.spare_group(name);
            }
            Err(Miss::Pending) => {
                let pending = self.catalog.pending(&name.0, &name.1).expect("it is pending");
                let object = &self.model.objects[&known.expect("it is in the model")];
                assert!(matches!(object.state, State::Pending(same) if same == pending));
            }
            Err(miss @ (Miss::Absent | Miss::Evicted | Miss::Elsewhere)) => {
                assert_eq!(known, None, "it is found");
                self.check_miss(name, miss);
            }
            Err(Miss::TooManyLeases) => {
                let total = self.catalog.stats(now).leases_max as usize;
                let full = self.model.live_leases().len() >= total;
                let owned = self.model.live_leases_of(|other| other == owner);
                let of_user = |other: usize| CALLERS[other].user() == CALLERS[owner].user();
                let used = self.model.live_leases_of(of_user);
                let owned = owned >= self.config.leases_per_owner_max;
                let used = used >= self.config.leases_per_user_max;
                assert!(full || owned || used, "there is room for a lease");
                self.reached.refused_of_owner += u64::from(!full && !used);
                self.reached.refused_of_user += u64::from(!full && !owned);
                self.reached.refused_leases += 1;
            }
            Err(Miss::LeaseQuota) => self.check_lease_quota(&name.0),
            Err(Miss::MemoryShort) => {
                let total = self.catalog.stats(now).leases_max as usize;
                assert_eq!(self.model.live_leases().len(), total);
                self.reached.refused_of_memory += 1;
            }
            Err(Miss::Corrupt) => unreachable!("the catalog sees no bytes"),
            Err(Miss::NoRoom) => unreachable!("the catalog loads nothing"),
        }
    }

    pub(crate) fn release(&mut self) {
        let now = self.model.now;
        let ids: Vec<_> = self.model.leases.keys().copied().collect();
        let Some((epoch, sequence)) = self.draws.pick(&ids).copied() else { return };
        let foreign = LeaseId { epoch: Epoch::new(self.epoch + 1), sequence };
        let lease = self.model.leases[&(epoch, sequence)];
        let caller = &CALLERS[lease.owner];
        assert_eq!(self.catalog.release(caller, foreign, now), None);
        let id = LeaseId { epoch: Epoch::new(epoch), sequence };
        let other = &CALLERS[(lease.owner + 1) % CALLERS.len()];
        assert_eq!(self.catalog.release(other, id, now), None, "of another owner");
        match self.catalog.release(caller, id, now) {
            Some(held) => {
                assert!(lease.deadline > now, "an expired lease is not released");
                assert_eq!(held, now.since(lease.granted));
                self.model.leases.remove(&(epoch, sequence));
                assert_eq!(self.catalog.release(caller, id, now), None);
            }
            None => assert!(lease.deadline <= now, "a live lease is known"),
        }
        self.model.pass();
    }

    /// One of the clients goes.
    pub(crate) fn hang_up(&mut self) {
        let owner = self.draws.below(CALLERS.len() as u64) as usize;
        let (now, limit) = (self.model.now, 1 + self.draws.below(20) as usize);
        let mut released = 0;
        while let Some(held) = self.catalog.release_oldest(&CALLERS[owner], limit, now) {
            released += held.len();
        }
        assert_eq!(
            released,
            self.model.live_leases_of(|other| other == owner),
            "what is live is released"
        );
        self.model.leases.retain(|_, lease| lease.owner != owner || lease.deadline <= now);
        self.reached.hung_up += released as u64;
        self.model.pass();
    }

    pub(crate) fn renew(&mut self) {
        let now = self.model.now;
        let ids: Vec<_> = self.model.leases.keys().copied().collect();
        let Some(id) = self.draws.pick(&ids).copied() else { return };
        let ttl = Duration::from_nanos(self.draws.below(600));
        let lease = self.model.leases.get_mut(&id).unwrap();
        let name = LeaseId { epoch: Epoch::new(id.0), sequence: id.1 };
        let live = lease.deadline > now;
        let renewed = self.catalog.renew(&CALLERS[lease.owner], name, ttl, now);
        assert_eq!(renewed, live.then(|| now.after(ttl)));
        lease.deadline = renewed.unwrap_or(lease.deadline);
        self.model.pass();
    }

    pub(crate) fn remove(&mut self) {
        let name = self.known_name();
        self.remove_name(name);
    }

    pub(crate) fn remove_name(&mut self, name: (String, String)) {
        let known = self.model.named.get(&name).copied();
        match self.catalog.remove(&name.0, &name.1) {
            Err(RemoveRefused::Absent) => assert_eq!(known, None),
            Err(RemoveRefused::Pending) => {
                let object = &self.model.objects[&known.unwrap()];
                assert!(matches!(object.state, State::Pending(_)));
            }
            Ok(()) => {
                self.model.named.remove(&name);
                self.model.objects.get_mut(&known.unwrap()).unwrap().state = State::Removed;
                self.model.pass();
                assert_eq!(self.catalog.remove(&name.0, &name.1), Err(RemoveRefused::Absent));
            }
        }
    }
}
