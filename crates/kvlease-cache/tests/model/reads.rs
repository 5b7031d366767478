//! Leases and removals, on the catalog and its model.

use std::time::Duration;

use kvlease_cache::Lease as Granted;
use kvlease_types::{ByteSize, Caller, Epoch, LeaseId, Miss, RemoveRefused};

use crate::{
    naive::{Lease, State},
    run::Run,
};

/// The caller of every operation.
const CALLER: Caller = Caller::DAEMON;

impl Run {
    pub(crate) fn acquire(&mut self) {
        let evicted = if self.draws.one_in(4) { self.evicted_name() } else { None };
        let name = evicted.unwrap_or_else(|| self.known_name());
        let ttl = Duration::from_nanos(self.draws.below(600));
        self.lease(&name, ttl);
    }

    pub(crate) fn lease(&mut self, name: &(String, String), ttl: Duration) {
        let acquired = self.catalog.acquire(&CALLER, &name.0, &name.1, ttl, self.model.now);
        self.check_lease(name, ttl, acquired);
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
        let answers = self.catalog.acquire_many(&CALLER, &bucket, &keys, ttl, self.model.now);
        let answers: Vec<_> = answers.take(wanted).collect();
        assert_eq!(answers.len(), keys.len().min(wanted), "it ends when no more is taken");
        for (name, acquired) in named.iter().zip(answers) {
            self.check_lease(name, ttl, acquired);
        }
        self.observe();
        self.model.pass();
    }

    fn check_lease(
        &mut self,
        name: &(String, String),
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
                let before = self.model.leases.insert(id, Lease { object, granted: now, deadline });
                assert!(before.is_none(), "a lease id is used once");
                self.spare(lease.generation);
            }
            Err(Miss::Pending) => {
                let pending = self.catalog.pending(&name.0, &name.1).expect("it is pending");
                let object = &self.model.objects[&known.expect("it is in the model")];
                assert!(matches!(object.state, State::Pending(same) if same == pending));
            }
            Err(miss @ (Miss::Absent | Miss::Evicted | Miss::Elsewhere)) => {
                // Only the leases before it in a batch can have evicted it.
                let sealed = |number| matches!(self.model.objects[&number].state, State::Sealed(_));
                let gone = self.catalog.stat(&name.0, &name.1).is_none();
                assert!(known.is_none_or(|number| sealed(number) && gone), "it is found");
                if known.is_none() {
                    self.check_miss(name, miss);
                }
            }
            Err(Miss::TooManyLeases) => {
                assert!(self.model.live_leases().len() >= self.config.leases_max);
                self.reached.refused_leases += 1;
            }
            Err(Miss::MemoryShort) => assert!(self.config.memory_max < ByteSize::mib(1)),
            Err(Miss::Corrupt) => unreachable!("the catalog sees no bytes"),
        }
    }

    pub(crate) fn release(&mut self) {
        let now = self.model.now;
        let ids: Vec<_> = self.model.leases.keys().copied().collect();
        let Some((epoch, sequence)) = self.draws.pick(&ids).copied() else { return };
        let foreign = LeaseId { epoch: Epoch::new(self.epoch + 1), sequence };
        assert_eq!(self.catalog.release(&CALLER, foreign, now), None);
        let lease = self.model.leases[&(epoch, sequence)];
        let id = LeaseId { epoch: Epoch::new(epoch), sequence };
        match self.catalog.release(&CALLER, id, now) {
            Some(held) => {
                assert!(lease.deadline > now, "an expired lease is not released");
                assert_eq!(held, now.since(lease.granted));
                self.model.leases.remove(&(epoch, sequence));
                assert_eq!(self.catalog.release(&CALLER, id, now), None);
            }
            None => assert!(lease.deadline <= now, "a live lease is known"),
        }
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
        let renewed = self.catalog.renew(&CALLER, name, ttl, now);
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
