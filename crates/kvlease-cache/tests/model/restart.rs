//! The end of a catalog without warning, and the start of the next one on what was told.

use std::collections::BTreeMap;

use kvlease_cache::{Catalog, Restoration, UNIT};
use kvlease_types::{ByteSize, Epoch, Extent, Offset, Timestamp};

use crate::{
    cells::Cells,
    naive::{Owner, State, touched},
    run::Run,
};

impl Run {
    /// Kills the catalog. The next one finds all sealed objects, and moves nobody's bytes who may
    /// be reading.
    pub(crate) fn restart(&mut self) {
        let mut record = self.cells.record();
        self.check_record(&record.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>());
        for (number, _) in self.model.writes() {
            self.model.forget(number);
        }
        let pending = self.pending();
        let populated = self.model.units.len();

        self.epoch += 1;
        self.catalog = Catalog::new(self.config.clone(), Epoch::new(self.epoch));
        self.cells = Cells::new(self.catalog.slots_max());
        self.catalog.watch_slots(self.cells.watch());
        for (unit, until) in &pending {
            self.catalog.quarantine(unit_extent(*unit), *until);
        }
        self.stretches = self.model.ahead.keys().map(|unit| *unit..*unit + 1).collect();
        let mut restoration = Restoration::default();
        // A record has no order.
        while !record.is_empty() {
            let entry = record.swap_remove(self.draws.below(record.len() as u64) as usize);
            let object = entry.object();
            restoration.add(&object, leased_until(object.extents, &pending));
        }
        let populated_bytes = ByteSize::new(populated as u64 * UNIT.bytes());
        let restored = self.catalog.restore(restoration, populated_bytes, self.model.now);
        assert_eq!(restored.impossible, 0, "a record of a catalog makes sense");
        let tight = self.config.memory_max < ByteSize::mib(1);
        assert!(restored.beyond_memory == 0 || tight, "objects are left out without need");
        self.take_over(&pending);
        let stats = self.catalog.stats(self.model.now);
        assert_eq!((stats.objects, stats.unverified), (restored.objects, restored.objects));
        self.reached.restored += restored.objects;
        self.reached.restored_beyond_memory += restored.beyond_memory;
        self.catalog.check();
    }

    /// Every sealed object is recorded, and nothing else.
    fn check_record(&self, recorded: &[(String, String)]) {
        let sealed = |number: &u64| matches!(self.model.objects[number].state, State::Sealed(_));
        let mut expected: Vec<_> =
            self.model.named.iter().filter(|(_, number)| sealed(number)).collect();
        assert_eq!(recorded.len(), expected.len(), "the record has what is sealed");
        expected.retain(|(name, _)| !recorded.contains(name));
        assert!(expected.is_empty(), "not recorded: {expected:?}");
    }

    /// Until when every unit may be read, by clients of the catalog that is gone. As in a record
    /// of whole regions, units count beside those that somebody reads.
    fn pending(&mut self) -> BTreeMap<usize, Timestamp> {
        let mut pending = self.model.ahead.clone();
        let now = self.model.now;
        for (unit, owner) in self.model.units.iter().enumerate() {
            if let Some(Owner::Quarantine(until)) = owner {
                pending.insert(unit, *until);
            }
        }
        let grace = self.model.grace;
        let leases = self.model.leases.values().map(|lease| {
            let around = self.draws.below(3) as usize;
            (lease.object, lease.deadline.after(grace), around)
        });
        let leases: Vec<_> = leases.collect();
        let holds = self.model.holds.iter().map(|(object, until)| (*object, *until, 0));
        for (object, until, around) in leases.into_iter().chain(holds.collect::<Vec<_>>()) {
            for range in self.model.objects[&object].extents.iter().map(touched) {
                let end = (range.end + around).min(self.model.units.len());
                for unit in range.start.saturating_sub(around)..end {
                    let latest = pending.entry(unit).or_insert(until);
                    *latest = until.max(*latest);
                }
            }
        }
        pending.retain(|_, until| *until > now);
        self.model.ahead.retain(|_, until| *until > now);
        pending
    }

    /// Brings the model to where the new catalog is to be.
    fn take_over(&mut self, pending: &BTreeMap<usize, Timestamp>) {
        self.model.leases.clear();
        self.model.holds.clear();
        let numbers: Vec<u64> = self.model.objects.keys().copied().collect();
        for number in numbers {
            let object = &self.model.objects[&number];
            let visible = matches!(object.state, State::Sealed(_));
            let info = self.catalog.stat(&object.name.0, &object.name.1);
            let Some(info) = info.filter(|_| visible) else {
                self.model.forget(number);
                continue;
            };
            assert_eq!(info.extents[..], object.extents[..], "nothing moves");
            self.cells.seal(&info);
            let until = leased_until(&info.extents, pending);
            if until > self.model.now {
                self.model.holds.insert(number, until);
                self.reached.restored_held += 1;
            }
            if let Some(object) = self.model.objects.get_mut(&number) {
                object.state = State::Sealed(info);
            }
        }
        for (unit, until) in pending {
            if let Some(owner @ (None | Some(Owner::Quarantine(_)))) =
                self.model.units.get_mut(*unit)
            {
                *owner = Some(Owner::Quarantine(*until));
            }
        }
    }
}

/// A lease covers all units of its object: it is over when the first of them is.
fn leased_until(extents: &[Extent], pending: &BTreeMap<usize, Timestamp>) -> Timestamp {
    let until = |unit| pending.get(&unit).copied().unwrap_or_default();
    extents.iter().flat_map(touched).map(until).min().unwrap_or_default()
}

fn unit_extent(unit: usize) -> Extent {
    Extent::new(Offset::new(unit as u64 * UNIT.bytes()), UNIT)
}
