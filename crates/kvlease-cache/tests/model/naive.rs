//! Naive model: every unit has an owner, every lease its end, nothing is clever.

use std::{collections::BTreeMap, time::Duration};

use kvlease_cache::{EXTENTS_PER_OBJECT_MAX, ObjectInfo, UNIT, WriteId};
use kvlease_types::{Extent, LeaseId, RETAINED_PREFIX, Timestamp};

/// Owner of a unit: an object by its number in the model, or the quarantine until a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Object(u64),
    Quarantine(Timestamp),
}

#[derive(Debug)]
pub(crate) enum State {
    Pending(WriteId),
    Sealed(ObjectInfo),
    /// Unpublished, still read.
    Removed,
    /// Without readers, until the change of this number is acknowledged.
    Departed(u64),
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: (String, String),
    pub(crate) state: State,
    /// Bytes reserved or stored.
    pub(crate) len: u64,
    pub(crate) extents: Vec<Extent>,
    /// 0 until it is sealed.
    pub(crate) generation: u64,
}

impl Object {
    /// Whether it is sealed and the daemon's own.
    pub(crate) fn is_retained(&self) -> bool {
        self.name.0.starts_with(RETAINED_PREFIX) && matches!(self.state, State::Sealed(_))
    }

    /// Whether the policy of its bucket pins it.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(&self.state, State::Sealed(info) if info.pinned)
    }

    /// Whether no eviction may take it.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_retained() || self.is_pinned()
    }

    pub(crate) fn units(&self) -> u64 {
        self.len.div_ceil(UNIT.bytes())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) object: u64,
    /// Which of the callers has it.
    pub(crate) owner: usize,
    pub(crate) granted: Timestamp,
    pub(crate) deadline: Timestamp,
}

#[derive(Default, Debug)]
pub(crate) struct Model {
    pub(crate) now: Timestamp,
    pub(crate) grace: Duration,
    pub(crate) objects: BTreeMap<u64, Object>,
    pub(crate) named: BTreeMap<(String, String), u64>,
    /// Leases that were not released, until the grace after their deadline is over.
    pub(crate) leases: BTreeMap<(u64, u64), Lease>,
    /// Until when an object may be read under a lease of an earlier incarnation.
    pub(crate) graces: BTreeMap<u64, Timestamp>,
    /// Owner of each populated unit.
    pub(crate) units: Vec<Option<Owner>>,
    /// Units that are not populated yet and held until then.
    pub(crate) ahead: BTreeMap<usize, Timestamp>,
    pub(crate) next: u64,
}

impl Model {
    pub(crate) fn add(
        &mut self,
        name: (String, String),
        id: WriteId,
        len: u64,
        extents: &[Extent],
    ) -> u64 {
        self.next += 1;
        let number = self.next;
        let state = State::Pending(id);
        let extents = extents.to_vec();
        self.own(&extents, number);
        self.named.insert(name.clone(), number);
        self.objects.insert(number, Object { name, state, len, extents, generation: 0 });
        number
    }

    /// Gives every unit that the extents touch to the object; it must be free or its own.
    pub(crate) fn own(&mut self, extents: &[Extent], number: u64) {
        for unit in extents.iter().flat_map(touched) {
            let owner = &mut self.units[unit];
            let free = owner.is_none() || *owner == Some(Owner::Object(number));
            assert!(free, "unit {unit} was given to {number} and belongs to {owner:?}");
            *owner = Some(Owner::Object(number));
        }
    }

    pub(crate) fn disown(&mut self, number: u64) {
        for owner in self.units.iter_mut().filter(|owner| **owner == Some(Owner::Object(number))) {
            *owner = None;
        }
    }

    /// Forgets an object whose space is free again.
    pub(crate) fn forget(&mut self, number: u64) -> Object {
        self.disown(number);
        let object = self.objects.remove(&number).expect("the object is in the model");
        if self.named.get(&object.name) == Some(&number) {
            self.named.remove(&object.name);
        }
        self.leases.retain(|_, lease| lease.object != number);
        self.graces.remove(&number);
        object
    }

    pub(crate) fn populate(&mut self, units: usize) {
        while self.units.len() < units {
            let until = self.ahead.remove(&self.units.len());
            self.units.push(until.map(Owner::Quarantine));
        }
        self.pass();
    }

    /// Ends what time has ended.
    pub(crate) fn pass(&mut self) {
        let (now, grace) = (self.now, self.grace);
        self.leases.retain(|_, lease| lease.deadline.after(grace) > now);
        self.graces.retain(|_, until| *until > now);
        for owner in &mut self.units {
            if matches!(owner, Some(Owner::Quarantine(until)) if *until <= now) {
                *owner = None;
            }
        }
    }

    /// Frees what departed by a change up to this number.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        let free = |(number, object): (&u64, &Object)| match object.state {
            State::Departed(at) if at <= sequence => Some(*number),
            _ => None,
        };
        let free: Vec<u64> = self.objects.iter().filter_map(free).collect();
        for number in free {
            self.forget(number);
        }
    }

    /// The object of this generation.
    pub(crate) fn of_generation(&self, generation: u64) -> u64 {
        let mut found = self.objects.iter().filter(|(_, object)| object.generation == generation);
        *found.next().expect("the object is in the model").0
    }

    /// Whether a client may be reading the object.
    pub(crate) fn is_read(&self, number: u64) -> bool {
        self.graces.contains_key(&number)
            || self.leases.values().any(|lease| lease.object == number)
    }

    /// Leases whose deadline is ahead.
    pub(crate) fn live_leases(&self) -> Vec<LeaseId> {
        let live = self.leases.iter().filter(|(_, lease)| lease.deadline > self.now);
        live.map(|((epoch, sequence), _)| LeaseId {
            epoch: kvlease_types::Epoch::new(*epoch),
            sequence: *sequence,
        })
        .collect()
    }

    /// How many of them the owners have that are chosen.
    pub(crate) fn live_leases_of(&self, chosen: impl Fn(usize) -> bool) -> usize {
        let leases = self.leases.values();
        leases.filter(|lease| chosen(lease.owner) && lease.deadline > self.now).count()
    }

    pub(crate) fn writes(&self) -> Vec<(u64, WriteId)> {
        let write = |(number, object): (&u64, &Object)| match object.state {
            State::Pending(id) => Some((*number, id)),
            State::Sealed(_) | State::Removed | State::Departed(_) => None,
        };
        self.objects.iter().filter_map(write).collect()
    }

    /// Whether each populated unit is free, will be, or could be made free by eviction.
    pub(crate) fn usable(&self) -> Vec<bool> {
        let pinned: BTreeMap<u64, bool> = self
            .objects
            .iter()
            .map(|(number, object)| {
                let pending = matches!(object.state, State::Pending(_));
                (*number, pending || object.is_kept() || self.is_read(*number))
            })
            .collect();
        let usable = |owner: &Option<Owner>| match owner {
            None => true,
            Some(Owner::Quarantine(_)) => false,
            Some(Owner::Object(number)) => !pinned[number],
        };
        self.units.iter().map(usable).collect()
    }

    /// Whether `units` units can be had in one object's number of extents.
    pub(crate) fn can_have(&self, units: usize) -> bool {
        let usable = self.usable();
        let mut runs: Vec<usize> = usable.split(|usable| !usable).map(<[bool]>::len).collect();
        runs.sort_unstable_by_key(|run| std::cmp::Reverse(*run));
        runs.iter().take(EXTENTS_PER_OBJECT_MAX).sum::<usize>() >= units
    }

    /// Units of the objects in a state.
    pub(crate) fn units_of(&self, wanted: impl Fn(&State) -> bool) -> u64 {
        let objects = self.objects.values().filter(|object| wanted(&object.state));
        objects.map(Object::units).sum()
    }
}

/// The units that an extent touches.
pub(crate) fn touched(extent: &Extent) -> std::ops::Range<usize> {
    let end = extent.offset.bytes() + extent.len.bytes();
    let unit = UNIT.bytes();
    (extent.offset.bytes() / unit) as usize..end.div_ceil(unit) as usize
}
