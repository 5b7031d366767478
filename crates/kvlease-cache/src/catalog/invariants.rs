//! Invariants of a catalog.

use std::collections::BTreeMap;

use super::Catalog;
use crate::{
    classes::OTHERS,
    objects::{Object, State},
    quotas::Amount,
    space::Tenant,
    tally::Tally,
};

impl Catalog {
    /// Asserts every invariant: no overlap, every unit accounted for exactly once, all counters in
    /// agreement with what they count. Takes time in proportion to everything there is: for tests
    /// and the end of soaks.
    ///
    /// # Panics
    ///
    /// If an invariant does not hold.
    pub fn check(&self) {
        self.space.check();
        self.leases.check();
        self.grace_deadlines.check();
        self.log.check();
        self.objects.check_buckets();
        self.check_tallies();
        self.check_tenants();
        self.check_leases();
        self.check_order();
        self.check_classes();
        self.check_departures();
        let retained = self.objects.iter().filter(|(_, o)| o.retained && o.state == State::Sealed);
        let units: u64 = retained.map(|(_, object)| u64::from(object.allocation.units)).sum();
        assert_eq!(units, self.retained_units, "retained units are counted");
        let units = u64::from(self.space.free())
            + u64::from(self.quarantine.units())
            + self.pending.units
            + self.sealed.units
            + self.removed.units
            + self.departed.units;
        assert_eq!(units, u64::from(self.space.populated()), "every unit is accounted for once");
        assert!(self.space.populated() <= self.capacity, "the space is within the capacity");
        // Quarantine cannot be refused, so it alone may go beyond the limit.
        let memory = self.objects_memory() - self.quarantine.memory();
        assert!(
            memory <= self.objects_memory_max() || self.sealed.objects == 0,
            "memory has a limit"
        );
    }

    fn check_tallies(&self) {
        let count = |wanted: &dyn Fn(&Object) -> bool| {
            let mut tally = Tally::default();
            self.objects.iter().filter(|(_, o)| wanted(o)).for_each(|(_, o)| tally.add(o));
            tally
        };
        assert_eq!(count(&|o| o.state == State::Pending), self.pending, "writes are counted");
        assert_eq!(count(&|o| o.state == State::Sealed), self.sealed, "objects are counted");
        assert_eq!(count(&|o| o.state == State::Removed), self.removed, "removals are counted");
        assert_eq!(count(&|o| o.state == State::Departed), self.departed, "departures are counted");
        assert_eq!(count(&|o| o.victim), self.victims.chosen, "victims are counted");
        assert_eq!(count(&|o| o.handed), self.victims.handed, "those handed over are counted");
        assert_eq!(count(&Object::is_evictable), self.evictable, "the evictable are counted");
        let unverified = |object: &Object| object.state == State::Sealed && !object.verified;
        assert_eq!(count(&unverified).objects, self.unverified, "the unverified are counted");
        let leased = self.objects.iter().filter(|(_, o)| o.leases > 0).map(|(_, o)| o.len);
        assert_eq!(leased.sum::<u64>(), self.leased_bytes, "leased bytes are counted");
        let spare = count(&Object::is_spare);
        assert_eq!(
            count(&|o| o.is_spare() && o.state == State::Pending),
            spare,
            "spares are pending"
        );
        let named = self.pending.objects - spare.objects + self.sealed.objects;
        assert_eq!(
            self.objects.named() as u64,
            named,
            "every published or pending object that is no spare has its name"
        );
    }

    /// Every class has its objects.
    fn check_classes(&self) {
        self.classes.check();
        for class in 0..self.classes.len() as u8 {
            let of_class = || {
                let sealed = self.objects.iter().filter(|(_, o)| o.state == State::Sealed);
                sealed.map(|(_, object)| object).filter(|o| o.class == class)
            };
            let known = self.classes.get(class);
            assert_eq!(of_class().count() as u64, known.objects, "a class counts its objects");
            let units = |o: &Object| u64::from(o.allocation.units);
            let taken = || of_class().filter(|o| !o.victim && !o.retained);
            let taken = Amount { objects: taken().count() as u64, units: taken().map(units).sum() };
            assert_eq!(taken, known.account.taken, "a class knows what it takes");
            self.check_account(class);
            let pinned = || of_class().filter(|o| o.pinned);
            let found = (pinned().count() as u64, pinned().map(units).sum());
            assert_eq!(found, (known.pinned.objects, known.pinned.units), "the pinned are counted");
        }
    }

    /// Every account has what its objects are in sum.
    fn check_account(&self, class: u8) {
        let of_class = |wanted: &dyn Fn(&Object) -> bool| {
            let all = self.objects.iter().map(|(_, object)| object);
            let wanted = all.filter(|object| object.class == class && wanted(object));
            wanted.fold((Amount::default(), 0), |(mut sum, leases), object| {
                sum.add(Amount::of(object));
                (sum, leases + u64::from(object.leases))
            })
        };
        let account = &self.classes.get(class).account;
        let sealed = of_class(&|o| o.state == State::Sealed && !o.retained).0;
        assert_eq!(sealed, account.sealed, "an account knows what is sealed");
        if class != OTHERS {
            let held = of_class(&|object| object.state != State::Departed);
            assert_eq!(held, (account.held, account.leases), "an account knows what it holds");
            let evictable = of_class(&Object::is_evictable).0;
            assert_eq!(evictable, account.evictable, "and what of it can be evicted");
        }
    }

    /// Every block that an object has names that object, and no object has another's block.
    fn check_tenants(&self) {
        let mut units: BTreeMap<u32, u32> = BTreeMap::new();
        let mut quarantined = 0;
        for block in self.space.walk() {
            match block.tenant {
                Tenant::Object(slot) => *units.entry(slot).or_default() += block.units,
                Tenant::Quarantine => quarantined += block.units,
                Tenant::Free => {}
            }
        }
        assert_eq!(quarantined, self.quarantine.units(), "quarantined units are counted");
        for (slot, object) in self.objects.iter() {
            let own = self.space.chain(&object.allocation);
            let own = own.inspect(|block| assert_eq!(block.tenant, Tenant::Object(slot)));
            let (blocks, chained) = own.fold((0, 0), |(n, sum), b| (n + 1, sum + b.units));
            assert_eq!((blocks, chained), (object.allocation.blocks, object.allocation.units));
            assert_eq!(units.remove(&slot).unwrap_or(0), chained, "an object has its blocks");
            let stored: u64 = object.extents.iter().map(|extent| extent.len.bytes()).sum();
            assert!(object.state == State::Pending || stored == object.len, "extents are exact");
        }
        assert!(units.is_empty(), "no block belongs to an object that is gone");
    }

    /// Every victim can be evicted and is queued, and every departure waits for a change to come.
    fn check_departures(&self) {
        let queued: Vec<_> = self.victims.queued().collect();
        for (slot, object) in self.objects.iter().filter(|(_, object)| object.victim) {
            assert!(object.is_evictable(), "a victim has no reader");
            assert!(queued.contains(&(slot, object.generation)), "a victim is queued");
            let waits = self.victims.waiting().any(|entry| entry == (slot, object.generation));
            assert!(object.handed || waits, "a victim is or will be handed over");
        }
        assert_eq!(self.departures.len() as u64, self.departed.objects, "departures are queued");
        assert!(self.departures.iter().is_sorted(), "departures are in the order of the log");
        for (sequence, slot) in &self.departures {
            assert_eq!(self.objects[*slot].state, State::Departed, "a departed object has left");
            let acknowledged = self.log.acknowledged();
            assert!(*sequence > acknowledged, "what was acknowledged is free");
            assert!(*sequence <= self.log.appended(), "a departure is in the log");
        }
    }

    fn check_leases(&self) {
        let mut leases: BTreeMap<u32, u32> = BTreeMap::new();
        self.leases.iter().for_each(|lease| *leases.entry(lease.slot).or_default() += 1);
        for (slot, object) in self.objects.iter() {
            assert_eq!(leases.remove(&slot).unwrap_or(0), object.leases, "leases are counted");
            assert_eq!(
                self.grace_deadlines.get(slot).is_some(),
                object.in_grace,
                "graces are known"
            );
            assert!(object.state != State::Removed || !object.is_unread(), "no removal is stuck");
        }
        assert!(leases.is_empty(), "no lease outlives its object");
    }
}
