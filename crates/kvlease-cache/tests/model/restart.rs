//! The end of a catalog without warning, and the start of the next one from the manifest.

use std::collections::{BTreeMap, BTreeSet};

use kvlease_cache::{Catalog, ChangeKind, Restoration, UNIT};
use kvlease_types::{ByteSize, Epoch, Extent, Offset, Timestamp};

use crate::{
    naive::{Owner, State, touched},
    readers::{Entry, Readers},
    run::Run,
};

impl Run {
    /// Kills the catalog. The next one finds the objects that the manifest has, and moves no bytes
    /// that a client may be reading.
    pub(crate) fn restart(&mut self) {
        let mut manifest: Vec<_> = self.readers.applied.manifest.values().cloned().collect();
        self.forget_all_but(&manifest);
        let pending = self.pending();
        let populated = self.model.units.len();

        self.epoch += 1;
        self.catalog = Catalog::new(self.config.clone(), Epoch::new(self.epoch));
        for (unit, until) in &pending {
            self.catalog.quarantine(unit_extent(*unit), *until);
        }
        self.stretches = self.model.ahead.keys().map(|unit| *unit..*unit + 1).collect();
        let mut restoration = Restoration::default();
        // A manifest has no order.
        while !manifest.is_empty() {
            let entry = manifest.swap_remove(self.draws.below(manifest.len() as u64) as usize);
            let object = entry.object();
            restoration.add(&object, leased_until(object.extents, &pending));
        }
        let populated_bytes = ByteSize::new(populated as u64 * UNIT.bytes());
        let (mut changes, now) = (Vec::new(), self.model.now);
        let restored = self
            .catalog
            .restore(restoration, populated_bytes, now, |change| changes.push(change.clone()));
        assert_eq!(restored.impossible, 0, "the manifest of a catalog makes sense");
        let tight = self.config.memory_max < ByteSize::mib(1);
        assert!(restored.beyond_memory == 0 || tight, "objects are left out without need");
        assert_eq!(changes.len() as u64, restored.objects, "every restored object is reported");
        assert!(changes.iter().all(|change| change.kind == ChangeKind::Restored));
        self.readers = Readers::new(self.catalog.slots_max(), &changes);
        self.take_over(&pending);
        let stats = self.catalog.stats(self.model.now);
        assert_eq!((stats.objects, stats.unverified), (restored.objects, restored.objects));
        self.reached.restored += restored.objects;
        self.reached.restored_beyond_memory += restored.beyond_memory;
        self.catalog.check();
    }

    /// The manifest is what there is, even if the log went on.
    fn forget_all_but(&mut self, manifest: &[Entry]) {
        let kept: BTreeSet<u64> = manifest.iter().map(|entry| entry.generation).collect();
        let numbers: Vec<u64> = self.model.objects.keys().copied().collect();
        for number in numbers {
            let object = &self.model.objects[&number];
            let sealed = matches!(object.state, State::Sealed(_));
            let stays = kept.contains(&object.generation);
            self.reached.sealed_and_lost += u64::from(sealed && !stays);
            self.reached.departed_and_back += u64::from(!sealed && stays);
            if !stays {
                self.model.forget(number);
            }
        }
        assert_eq!(self.model.objects.len(), manifest.len(), "the bytes of each are still there");
        self.model.named = self.model.objects.iter().map(|(n, o)| (o.name.clone(), *n)).collect();
        assert_eq!(self.model.named.len(), manifest.len(), "a name is published once");
        self.forget_evictions();
    }

    /// Until when every unit may be read, by clients of the catalog that is gone. As in a fence
    /// of whole regions, units count beside those that a client reads.
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
        let graces = self.model.graces.iter().map(|(object, until)| (*object, *until, 0));
        for (object, until, around) in leases.into_iter().chain(graces.collect::<Vec<_>>()) {
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
        self.model.graces.clear();
        let numbers: Vec<u64> = self.model.objects.keys().copied().collect();
        for number in numbers {
            let object = &self.model.objects[&number];
            let Some(info) = self.catalog.stat(&object.name.0, &object.name.1) else {
                self.model.forget(number);
                continue;
            };
            assert_eq!(info.extents[..], object.extents[..], "nothing moves");
            let until = leased_until(&info.extents, pending);
            if until > self.model.now {
                self.model.graces.insert(number, until);
                self.reached.restored_held += 1;
            }
            if let Some(object) = self.model.objects.get_mut(&number) {
                object.generation = info.generation;
                object.state = State::Sealed(info);
                self.reached.retained_restored += u64::from(object.is_retained());
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
