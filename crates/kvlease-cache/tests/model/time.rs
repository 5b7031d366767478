//! Time and population, on the catalog and its model.

use std::{ops::Range, time::Duration};

use kvlease_cache::UNIT;
use kvlease_types::{ByteSize, Extent, Offset};

use crate::{
    naive::{State, touched},
    run::Run,
};

impl Run {
    pub(crate) fn expire(&mut self) {
        if self.draws.one_in(2) {
            let limit = self.draws.below(4) as usize;
            self.expire_up_to(limit);
        } else {
            self.expire_all();
        }
    }

    fn expire_up_to(&mut self, limit: usize) -> usize {
        let now = self.model.now;
        let expired = self.catalog.expire(now, limit);
        self.reached.expired += expired.len() as u64;
        for lease in &expired {
            if let Some(known) = self.model.leases.get(&(self.epoch, lease.id.sequence)) {
                assert!(known.deadline <= now, "a live lease does not expire");
                let object = &self.model.objects[&known.object];
                assert_eq!(object.name, (lease.bucket.to_string(), lease.key.to_string()));
            }
        }
        expired.len()
    }

    /// Ends all that is due. The change log may fill up on the way.
    pub(crate) fn expire_all(&mut self) {
        while self.expire_up_to(usize::MAX) + self.observe() > 0 {}
        let now = self.model.now;
        for (number, object) in &self.model.objects {
            let left = matches!(object.state, State::Removed);
            assert!(!left || self.model.is_read(*number), "what has no reader departs");
        }
        let stats = self.catalog.stats(now);
        let free = self.model.units.iter().filter(|owner| owner.is_none()).count() as u64;
        assert_eq!(stats.free.bytes(), free * UNIT.bytes(), "what has passed is free");
        assert_eq!(stats.leases_live, self.model.live_leases().len() as u64);
    }

    pub(crate) fn grow(&mut self) {
        let capacity = self.config.capacity.bytes();
        let populated = self.model.units.len() as u64 * UNIT.bytes() + self.draws.below(capacity);
        self.catalog.grow(ByteSize::new(populated));
        self.model.populate((populated.min(capacity) / UNIT.bytes()) as usize);
    }

    pub(crate) fn quarantine(&mut self) {
        let populated = self.model.units.len() as u64 * UNIT.bytes();
        let offset = populated + self.draws.below(self.config.capacity.bytes());
        let len = self.draws.below(8 * UNIT.bytes());
        let until = self.model.now.after(Duration::from_nanos(self.draws.below(2000)));
        let extent = Extent::new(Offset::new(offset), ByteSize::new(len));
        self.catalog.quarantine(extent, until);
        if len == 0 {
            return;
        }
        self.reached.quarantined += 1;
        // The catalog joins what overlaps and holds it until the later end.
        let units = self.overlapping(touched(&extent));
        self.stretches.retain(|stretch| stretch.end <= units.start || units.end <= stretch.start);
        self.stretches.push(units.clone());
        let held = units.clone().filter_map(|unit| self.model.ahead.get(&unit).copied());
        let until = held.max().map_or(until, |other| until.max(other));
        self.model.ahead.extend(units.map(|unit| (unit, until)));
    }

    /// The units and the whole of every stretch in quarantine that they overlap.
    fn overlapping(&self, units: Range<usize>) -> Range<usize> {
        let overlapped =
            self.stretches.iter().filter(|s| s.start < units.end && units.start < s.end);
        overlapped.fold(units.clone(), |all, s| all.start.min(s.start)..all.end.max(s.end))
    }

    pub(crate) fn pass_time(&mut self) {
        let step = Duration::from_nanos(self.draws.below(200));
        self.model.now = self.model.now.after(step);
        self.model.pass();
    }
}
