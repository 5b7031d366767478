//! One run: a catalog, its model, and the operations on both.

use std::{ops::Range, time::Duration};

use kvlease_cache::{Catalog, CatalogConfig, EvictionKind, Lease as Granted, ObjectInfo, UNIT};
use kvlease_testing::Draws;
use kvlease_types::{
    BucketName, ByteSize, Caller, Checksum, Epoch, Extent, Key, LeaseId, Miss, Offset,
    RemoveRefused, Timestamp, WriteRefused,
};

use crate::{
    cells::Cells,
    naive::{Lease, Model, State},
};

const CALLER: Caller = Caller::DAEMON;

/// How often the rarer outcomes came up, so that a run that tests nothing fails.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reached {
    pub(crate) sealed: u64,
    pub(crate) evicted: u64,
    pub(crate) fragmented_objects: u64,
    pub(crate) refused_only_leased: u64,
    pub(crate) refused_fragmented: u64,
    pub(crate) refused_not_populated: u64,
    pub(crate) refused_memory: u64,
    pub(crate) refused_leases: u64,
    pub(crate) expired: u64,
    pub(crate) quarantined: u64,
    pub(crate) restored: u64,
    pub(crate) restored_held: u64,
    pub(crate) restored_beyond_memory: u64,
}

impl Reached {
    const fn counters(&mut self) -> [&mut u64; 13] {
        [
            &mut self.sealed,
            &mut self.evicted,
            &mut self.fragmented_objects,
            &mut self.refused_only_leased,
            &mut self.refused_fragmented,
            &mut self.refused_not_populated,
            &mut self.refused_memory,
            &mut self.refused_leases,
            &mut self.expired,
            &mut self.quarantined,
            &mut self.restored,
            &mut self.restored_held,
            &mut self.restored_beyond_memory,
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, more) in self.counters().into_iter().zip(other.counters()) {
            *sum += *more;
        }
    }

    pub(crate) fn assert_complete(&mut self) {
        assert!(self.counters().iter().all(|count| **count > 0), "an outcome was never reached");
    }
}

pub(crate) struct Run {
    pub(crate) catalog: Catalog,
    pub(crate) epoch: u64,
    pub(crate) model: Model,
    pub(crate) cells: Cells,
    pub(crate) draws: Draws,
    pub(crate) config: CatalogConfig,
    /// Largest object drawn, in units.
    object_units_max: u64,
    /// Begins with every second unit leased, and now and then asks for much: what fragments most.
    splintered: bool,
    pub(crate) reached: Reached,
    checksum: u64,
    /// Ranges in quarantine, overlapping ones joined.
    pub(crate) stretches: Vec<Range<usize>>,
}

impl Run {
    pub(crate) fn new(eviction: EvictionKind, mut draws: Draws) -> Self {
        let splintered = draws.one_in(4);
        let units = if splintered { 500 } else { 8 + draws.below(500) };
        let tight = !splintered && draws.one_in(3);
        let few_leases = !splintered && draws.one_in(4);
        let config = CatalogConfig {
            capacity: ByteSize::new(units * UNIT.bytes()),
            memory_max: if tight { ByteSize::kib(4 + draws.below(24)) } else { ByteSize::mib(64) },
            leases_max: if few_leases { 3 } else { 1000 },
            lease_grace: Duration::from_nanos(draws.below(200)),
            eviction,
        };
        let model = Model { grace: config.lease_grace, ..Model::default() };
        let mut catalog = Catalog::new(config.clone(), Epoch::new(0));
        let cells = Cells::new(catalog.slots_max());
        catalog.watch_slots(cells.watch());
        let object_units_max = 1 + draws.below(if splintered { 1 } else { units / 2 });
        let reached = Reached::default();
        let mut run = Self {
            catalog,
            epoch: 0,
            model,
            cells,
            draws,
            config,
            object_units_max,
            splintered,
            reached,
            checksum: 0,
            stretches: Vec::new(),
        };
        if splintered {
            run.splinter(units);
        }
        run
    }

    /// Fills the arena with objects of one unit and leases every second one.
    fn splinter(&mut self, units: u64) {
        self.catalog.grow(self.config.capacity);
        self.model.populate(units as usize);
        for unit in 0..units {
            let name = ("b0".to_owned(), format!("splinter {unit}"));
            self.reserve_as(name.clone(), UNIT.bytes());
            self.seal();
            if unit % 2 == 0 {
                let ttl = Duration::from_nanos(4000 + self.draws.below(4000));
                self.lease(&name, ttl);
            }
        }
    }

    pub(crate) fn step(&mut self) {
        match self.draws.below(32) {
            0..=8 => self.reserve(),
            9 => self.extend(),
            10..=15 => self.seal(),
            16 => self.abort(),
            17..=20 => self.acquire(),
            21 => self.acquire_many(),
            22..=24 => self.release(),
            25 => self.renew(),
            26 => self.remove(),
            27 => self.expire(),
            28 => self.grow(),
            29 => self.quarantine(),
            30 if self.draws.one_in(40) => self.restart(),
            _ => self.pass_time(),
        }
        self.compare();
        if self.draws.one_in(50) {
            self.catalog.check();
        }
    }

    /// Lets everything end and expects every unit back.
    pub(crate) fn finish(mut self) -> Reached {
        for (number, id) in self.model.writes() {
            assert!(self.catalog.abort(id));
            self.model.forget(number);
        }
        self.model.now = Timestamp::from_nanos(u64::MAX);
        self.model.pass();
        self.reached.expired += self.catalog.expire(self.model.now, usize::MAX).len() as u64;
        let names: Vec<_> = self.model.named.keys().cloned().collect();
        for (bucket, key) in names {
            assert_eq!(self.catalog.remove(&bucket, &key), Ok(()));
        }
        let stats = self.catalog.stats(self.model.now);
        assert_eq!(stats.free, stats.populated, "nothing has leaked");
        assert_eq!((stats.leases_live, stats.objects, stats.stored), (0, 0, ByteSize::ZERO));
        assert_eq!(self.catalog.buckets(), []);
        assert_eq!(self.cells.len(), 0, "every slot was freed");
        self.catalog.check();
        self.reached
    }

    fn name(&mut self) -> (String, String) {
        let bucket = format!("b{}", self.draws.below(3));
        // Long keys make memory the limit where it is small.
        let width = if self.draws.one_in(8) { 300 } else { 1 };
        (bucket, format!("{:0width$}", self.draws.below(400)))
    }

    fn known_name(&mut self) -> (String, String) {
        let names: Vec<_> = self.model.named.keys().collect();
        let known = self.draws.pick(&names).map(|name| (*name).clone());
        let stray = self.draws.one_in(10);
        known.filter(|_| !stray).unwrap_or_else(|| self.name())
    }

    fn len(&mut self) -> u64 {
        if self.draws.one_in(30) {
            return 0;
        }
        let often = if self.splintered { 6 } else { 20 };
        let oversize = if self.draws.one_in(often) { 400 } else { self.object_units_max };
        let units = self.draws.below(oversize);
        units * UNIT.bytes() + self.draws.below(UNIT.bytes()) + 1
    }

    fn reserve(&mut self) {
        let name = if self.draws.one_in(10) { self.known_name() } else { self.name() };
        let len = self.len();
        self.reserve_as(name, len);
    }

    fn reserve_as(&mut self, name: (String, String), len: u64) {
        let (bucket, key) = (BucketName::new(&*name.0).unwrap(), Key::new(&*name.1).unwrap());
        let known = self.model.named.get(&name).copied();
        let usable = self.model.usable();
        match self.catalog.reserve(bucket, key, ByteSize::new(len), self.model.now) {
            Ok(reservation) => {
                assert_eq!(known, None, "a name is reserved once");
                self.drop_evicted();
                assert_eq!(total(&reservation.extents), len, "extents are exact");
                self.cells.hand_out(&reservation.extents);
                self.reached.fragmented_objects += u64::from(reservation.extents.len() > 1);
                let given = reservation.extents.iter().flat_map(crate::naive::touched);
                assert!(given.into_iter().all(|unit| usable[unit]), "only usable space is given");
                self.model.add(name, reservation.id, len, &reservation.extents);
            }
            Err(WriteRefused::Exists) => {
                let number = known.expect("what exists is in the model");
                assert!(matches!(self.model.objects[&number].state, State::Sealed(_)));
            }
            Err(WriteRefused::Pending) => {
                let number = known.expect("what is written is in the model");
                assert!(matches!(self.model.objects[&number].state, State::Writing(_)));
            }
            Err(error) => self.check_refusal(error, len.div_ceil(UNIT.bytes()), 0),
        }
    }

    /// A refusal must be right: the model finds no way either.
    fn check_refusal(&mut self, error: WriteRefused, units: u64, had: u64) {
        let capacity = self.config.capacity.bytes() / UNIT.bytes();
        let ahead = capacity - self.model.units.len() as u64;
        let usable = self.model.usable().into_iter().filter(|usable| *usable).count() as u64;
        match error {
            WriteRefused::BeyondCapacity { .. } => assert!(units + had > capacity),
            WriteRefused::OnlyLeased => {
                assert!(usable + ahead < units, "{usable} units are usable, {units} refused");
                self.reached.refused_only_leased += 1;
            }
            WriteRefused::Fragmented => {
                // What an object has already may take up its number of extents.
                assert!(had > 0 || !self.model.can_have(units as usize));
                self.reached.refused_fragmented += 1;
            }
            WriteRefused::NotPopulated => {
                assert!(ahead > 0 && usable + ahead >= units);
                assert!(had > 0 || !self.model.can_have(units as usize));
                self.reached.refused_not_populated += 1;
            }
            WriteRefused::MemoryShort { .. } => {
                assert!(self.config.memory_max < ByteSize::mib(1), "memory is short without need");
                self.reached.refused_memory += 1;
            }
            other => unreachable!("handled before, or not the catalog's: {other}"),
        }
    }

    fn extend(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        let len = self.model.objects[&number].len;
        let more = self.len();
        match self.catalog.extend(id, ByteSize::new(more), self.model.now) {
            Ok(extents) => {
                assert_eq!(total(&extents), more, "extents are exact");
                self.cells.hand_out(&extents);
                self.drop_evicted();
                self.model.own(&extents, number);
                let object = self.model.objects.get_mut(&number).unwrap();
                object.len += more;
                object.extents.extend(extents);
            }
            Err(error) => {
                let units = (len + more).div_ceil(UNIT.bytes()) - len.div_ceil(UNIT.bytes());
                self.check_refusal(error, units, len.div_ceil(UNIT.bytes()).max(1));
            }
        }
    }

    fn seal(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        let object = &self.model.objects[&number];
        let reserved = object.len;
        let (bucket, key) = object.name.clone();
        let too_long = ByteSize::new(reserved + 1);
        let checksum = Checksum::new(self.checksum);
        assert!(self.catalog.seal(id, too_long, checksum, self.model.now).is_err());
        let len = if self.draws.one_in(4) { self.draws.below(reserved + 1) } else { reserved };
        assert!(self.catalog.stat(&bucket, &key).is_none(), "an unfinished object is invisible");
        self.catalog.seal(id, ByteSize::new(len), checksum, self.model.now).unwrap();
        assert!(self.catalog.seal(id, ByteSize::new(len), checksum, self.model.now).is_err());
        self.checksum += 1;
        self.reached.sealed += 1;
        let info = self.catalog.stat(&bucket, &key).expect("a sealed object is visible");
        assert_eq!((info.len.bytes(), info.checksum), (len, checksum));
        self.cells.seal(&info);
        assert_eq!(bytes(&info.extents), bytes(&cut(&object.extents, len)), "nothing has moved");
        self.model.disown(number);
        self.model.own(&info.extents, number);
        let object = self.model.objects.get_mut(&number).unwrap();
        (object.len, object.extents) = (len, info.extents.to_vec());
        object.state = State::Sealed(info);
    }

    fn abort(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        assert!(self.catalog.abort(id));
        assert!(!self.catalog.abort(id), "a write ends once");
        self.model.forget(number);
    }

    fn acquire(&mut self) {
        let name = self.known_name();
        let ttl = Duration::from_nanos(self.draws.below(600));
        self.lease(&name, ttl);
    }

    fn lease(&mut self, name: &(String, String), ttl: Duration) {
        let acquired = self.catalog.acquire(&CALLER, &name.0, &name.1, ttl, self.model.now);
        self.check_lease(name, ttl, acquired);
        self.drop_evicted();
        self.model.pass();
    }

    fn acquire_many(&mut self) {
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
        self.drop_evicted();
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
                assert_eq!(self.cells.get(lease.slot), lease.generation, "it can be read");
                let id = (lease.id.epoch.number(), lease.id.sequence);
                let deadline = lease.deadline;
                let before = self.model.leases.insert(id, Lease { object, granted: now, deadline });
                assert!(before.is_none(), "a lease id is used once");
            }
            Err(Miss::Pending) => {
                let pending = self.catalog.pending(&name.0, &name.1).expect("it is pending");
                let object = &self.model.objects[&known.expect("it is in the model")];
                assert!(matches!(object.state, State::Writing(same) if same == pending));
            }
            Err(Miss::Absent | Miss::Evicted) => {
                // Only the leases before it in a batch can have evicted it.
                let sealed = |number| matches!(self.model.objects[&number].state, State::Sealed(_));
                let gone = self.catalog.stat(&name.0, &name.1).is_none();
                assert!(known.is_none_or(|number| sealed(number) && gone), "it is found");
            }
            Err(Miss::TooManyLeases) => {
                assert!(self.model.live_leases().len() >= self.config.leases_max);
                self.reached.refused_leases += 1;
            }
            Err(Miss::MemoryShort) => assert!(self.config.memory_max < ByteSize::mib(1)),
            Err(Miss::Elsewhere | Miss::Corrupt) => unreachable!("there is no elsewhere, no look"),
        }
    }

    fn release(&mut self) {
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

    fn renew(&mut self) {
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

    fn remove(&mut self) {
        let (bucket, key) = self.known_name();
        let known = self.model.named.get(&(bucket.clone(), key.clone())).copied();
        match self.catalog.remove(&bucket, &key) {
            Err(RemoveRefused::Absent) => assert_eq!(known, None),
            Err(RemoveRefused::Pending) => {
                let object = &self.model.objects[&known.unwrap()];
                assert!(matches!(object.state, State::Writing(_)));
            }
            Ok(()) => {
                self.model.named.remove(&(bucket.clone(), key.clone()));
                self.model.objects.get_mut(&known.unwrap()).unwrap().state = State::Removed;
                self.model.pass();
                assert_eq!(self.catalog.remove(&bucket, &key), Err(RemoveRefused::Absent));
            }
        }
    }

    fn expire(&mut self) {
        let now = self.model.now;
        let few = self.draws.one_in(2);
        let limit = if few { self.draws.below(4) as usize } else { usize::MAX };
        let expired = self.catalog.expire(now, limit);
        self.reached.expired += expired.len() as u64;
        for lease in expired {
            if let Some(known) = self.model.leases.get(&(self.epoch, lease.id.sequence)) {
                assert!(known.deadline <= now, "a live lease does not expire");
                let object = &self.model.objects[&known.object];
                assert_eq!(object.name, (lease.bucket.to_string(), lease.key.to_string()));
            }
        }
        if few {
            return;
        }
        assert!(self.catalog.next_event().is_none_or(|next| next > now), "nothing due is left");
        let stats = self.catalog.stats(now);
        let free = self.model.units.iter().filter(|owner| owner.is_none()).count() as u64;
        assert_eq!(stats.free.bytes(), free * UNIT.bytes(), "what has passed is free");
        assert_eq!(stats.leases_live, self.model.live_leases().len() as u64);
    }

    fn grow(&mut self) {
        let capacity = self.config.capacity.bytes();
        let populated = self.model.units.len() as u64 * UNIT.bytes() + self.draws.below(capacity);
        self.catalog.grow(ByteSize::new(populated));
        self.model.populate((populated.min(capacity) / UNIT.bytes()) as usize);
    }

    fn quarantine(&mut self) {
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
        let units = self.overlapping(crate::naive::touched(&extent));
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

    fn pass_time(&mut self) {
        let step = Duration::from_nanos(self.draws.below(200));
        self.model.now = self.model.now.after(step);
        self.model.pass();
    }

    /// What is gone must have been evictable.
    fn drop_evicted(&mut self) {
        let gone = |(name, number): (&(String, String), &u64)| {
            let sealed = matches!(self.model.objects[number].state, State::Sealed(_));
            (sealed && self.catalog.stat(&name.0, &name.1).is_none()).then_some(*number)
        };
        let gone: Vec<u64> = self.model.named.iter().filter_map(gone).collect();
        for number in gone {
            assert!(!self.model.is_read(number), "object {number} was evicted while being read");
            self.model.forget(number);
            self.reached.evicted += 1;
        }
    }

    /// Catalog and model tell the same story.
    fn compare(&mut self) {
        for (name, number) in &self.model.named {
            let info = self.catalog.stat(&name.0, &name.1);
            match &self.model.objects[number].state {
                State::Sealed(sealed) => {
                    let info = info.expect("nothing vanishes without being evicted or removed");
                    assert_eq!(ObjectInfo { leases: 0, ..info }, *sealed, "nothing moves");
                }
                State::Writing(_) => assert!(info.is_none(), "an unfinished object is invisible"),
                State::Removed => unreachable!("a removed object has no name"),
            }
        }
        let stats = self.catalog.stats(self.model.now);
        assert!(self.cells.len() as u64 >= stats.objects, "every sealed object has its cell");
        let units = |state: fn(&State) -> bool| self.model.units_of(state) * UNIT.bytes();
        let writing = units(|state| matches!(state, State::Writing(_)));
        let allocated = units(|state| matches!(state, State::Sealed(_)));
        let populated = self.model.units.len() as u64 * UNIT.bytes();
        assert_eq!(stats.populated.bytes(), populated);
        assert_eq!((stats.being_written.bytes(), stats.allocated.bytes()), (writing, allocated));
        let rest = stats.free.bytes() + stats.quarantined.bytes();
        assert_eq!(rest + writing + allocated, populated, "every unit is accounted for");
        let free = self.model.units.iter().filter(|owner| owner.is_none()).count() as u64;
        assert!(stats.free.bytes() <= free * UNIT.bytes(), "nothing is free that must wait");
        assert!(stats.leases_live >= self.model.live_leases().len() as u64);
    }
}

fn total(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.len.bytes()).sum()
}

/// The first `len` bytes.
fn cut(extents: &[Extent], len: u64) -> Vec<Extent> {
    let mut left = len;
    let mut part = Vec::new();
    for extent in extents {
        let taken = extent.len.bytes().min(left);
        part.push(Extent::new(extent.offset, ByteSize::new(taken)));
        left -= taken;
    }
    part
}

/// The places of all bytes, joined where they touch: extents that are cut differently agree.
fn bytes(extents: &[Extent]) -> Vec<(u64, u64)> {
    let mut places: Vec<(u64, u64)> = Vec::new();
    for extent in extents.iter().filter(|extent| extent.len.bytes() > 0) {
        let (start, len) = (extent.offset.bytes(), extent.len.bytes());
        match places.last_mut() {
            Some((from, before)) if *from + *before == start => *before += len,
            _ => places.push((start, len)),
        }
    }
    places
}
