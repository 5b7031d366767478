//! Writes, on the catalog and its model.

use kvlease_cache::{Room, UNIT};
use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, RETAINED_PREFIX, WriteRefused};

use crate::{naive::State, run::Run};

/// Drains after which a write that nothing competes with has its space: one for a slot, one for the
/// units, and some to clear a stretch, each of which may fill the log.
const DRAINS_MAX: u32 = 40;

/// One of this many objects is retained, in the runs that have any: they leave by removal alone.
const RETAINED_ONE_IN: u64 = 20;

impl Run {
    fn name(&mut self) -> (String, String) {
        let bucket = match self.retains && self.draws.one_in(RETAINED_ONE_IN) {
            true => format!("{RETAINED_PREFIX}b"),
            false => format!("b{}", self.draws.below(3)),
        };
        if self.groups && self.draws.one_in(2) {
            let (rank, chunk) = (self.draws.below(4), self.draws.below(60));
            return (bucket, format!("m@4@{rank}@{chunk:x}@half"));
        }
        // Long keys make memory the limit where it is small.
        let width = if self.draws.one_in(8) { 300 } else { 1 };
        (bucket, format!("{:0width$}", self.draws.below(400)))
    }

    pub(crate) fn known_name(&mut self) -> (String, String) {
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

    pub(crate) fn reserve(&mut self) {
        let name = if self.draws.one_in(10) { self.known_name() } else { self.name() };
        let len = self.len();
        let first = if self.draws.one_in(4) { self.draws.below(len + 1) } else { len };
        self.reached.reserved_in_part += u64::from(first < len);
        self.reserve_as(name, first, len);
    }

    pub(crate) fn reserve_as(&mut self, name: (String, String), first: u64, len: u64) {
        let (bucket, key) = (BucketName::restored(&name.0).unwrap(), Key::new(&*name.1).unwrap());
        let known = self.model.named.get(&name).copied();
        self.favoured = Some(name.0.clone());
        let lens = (ByteSize::new(first), ByteSize::new(len));
        for drains in 0.. {
            assert!(drains <= DRAINS_MAX, "a write that is alone makes progress");
            let now = self.model.now;
            match self.catalog.reserve_first(&bucket, &key, lens, now) {
                Ok(Room::Given(reservation)) => {
                    assert_eq!(known, None, "a name is reserved once");
                    self.observe();
                    assert_eq!(total(&reservation.extents), first, "extents are exact");
                    self.readers.hand_out(&reservation.extents);
                    self.reached.fragmented_objects += u64::from(reservation.extents.len() > 1);
                    self.model.add(name, reservation.id, first, &reservation.extents);
                }
                Ok(Room::AfterDrain) => {
                    if self.wait_for_drain() {
                        continue;
                    }
                }
                Err(WriteRefused::Exists) => {
                    let number = known.expect("what exists is in the model");
                    assert!(matches!(self.model.objects[&number].state, State::Sealed(_)));
                }
                Err(WriteRefused::Pending) => {
                    let number = known.expect("what is written is in the model");
                    assert!(matches!(self.model.objects[&number].state, State::Pending(_)));
                }
                Err(error) => {
                    self.observe();
                    let units = len.div_ceil(UNIT.bytes());
                    if !self.check_quota_refusal(&bucket.to_string(), error, (1, units)) {
                        self.check_refusal(error, units, 0);
                    }
                }
            }
            break;
        }
        // What left for it is followed while it is known for whom.
        self.observe();
        self.favoured = None;
    }

    /// Drains for a write that asked for it, or false: the client gave up.
    fn wait_for_drain(&mut self) -> bool {
        if self.draws.one_in(8) {
            self.reached.left_before_drain += 1;
            return false;
        }
        self.reached.waited_for_drain += 1;
        self.drain();
        true
    }

    /// A refusal must be right: the model finds no way either. It has evicted nothing.
    fn check_refusal(&mut self, error: WriteRefused, units: u64, had: u64) {
        if self.have_guarantees() {
            // What others are guaranteed may be what is missing.
            return;
        }
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

    pub(crate) fn extend(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        let len = self.model.objects[&number].len;
        let more = self.len();
        let bucket = self.model.objects[&number].name.0.clone();
        self.favoured = Some(bucket.clone());
        for drains in 0.. {
            assert!(drains <= DRAINS_MAX, "a write that is alone makes progress");
            match self.catalog.extend(id, ByteSize::new(more), self.model.now) {
                Ok(Room::Given(extents)) => {
                    assert_eq!(total(&extents), more, "extents are exact");
                    self.observe();
                    self.readers.hand_out(&extents);
                    self.model.own(&extents, number);
                    let object = self.model.objects.get_mut(&number).unwrap();
                    object.len += more;
                    object.extents.extend_from_slice(&extents);
                }
                Ok(Room::AfterDrain) => {
                    if self.wait_for_drain() {
                        continue;
                    }
                }
                Err(error) => {
                    let units = (len + more).div_ceil(UNIT.bytes()) - len.div_ceil(UNIT.bytes());
                    self.observe();
                    if !self.check_quota_refusal(&bucket, error, (0, units)) {
                        self.check_refusal(error, units, len.div_ceil(UNIT.bytes()).max(1));
                    }
                }
            }
            break;
        }
        // What left for it is followed while it is known for whom.
        self.observe();
        self.favoured = None;
    }

    pub(crate) fn seal(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        let object = &self.model.objects[&number];
        let reserved = object.len;
        let (bucket, key) = object.name.clone();
        let too_long = ByteSize::new(reserved + 1);
        let checksum = Checksum::new(self.checksum);
        assert!(self.catalog.seal(id, too_long, checksum, self.model.now).is_err());
        let len = if self.draws.one_in(4) { self.draws.below(reserved + 1) } else { reserved };
        assert!(self.catalog.stat(&bucket, &key).is_none(), "a pending object is invisible");
        self.catalog.seal(id, ByteSize::new(len), checksum, self.model.now).unwrap();
        assert!(self.catalog.seal(id, ByteSize::new(len), checksum, self.model.now).is_err());
        self.checksum += 1;
        self.reached.sealed += 1;
        self.reached.retained += u64::from(bucket.starts_with(RETAINED_PREFIX));
        let info = self.catalog.stat(&bucket, &key).expect("a sealed object is visible");
        assert_eq!((info.len.bytes(), info.checksum), (len, checksum));
        assert_eq!(bytes(&info.extents), bytes(&cut(&object.extents, len)), "nothing has moved");
        self.model.disown(number);
        self.model.own(&info.extents, number);
        let object = self.model.objects.get_mut(&number).unwrap();
        (object.len, object.extents) = (len, info.extents.to_vec());
        object.generation = info.generation;
        object.state = State::Sealed(info);
        self.check_pinned(number);
    }

    pub(crate) fn abort(&mut self) {
        let Some((number, id)) = self.draws.pick(&self.model.writes()).copied() else { return };
        assert!(self.catalog.abort(id));
        assert!(!self.catalog.abort(id), "a write ends once");
        self.model.forget(number);
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
