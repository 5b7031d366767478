//! Quota of checkpoints: the bytes of memory and disk that they may take, and those that they take.

use kvlease_cache::UNIT;
use kvlease_types::ByteSize;

use super::disk::HEADER_LEN;

/// The least that a shard takes of the quota, so that the quota bounds the catalog's memory for small
/// ones as well. A namespace takes as much.
pub(super) const CHARGE_MIN: u64 = 64 << 10;

/// Medium that a shard is stored on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Medium {
    /// The arena.
    Memory,
    /// Files on the node's disk.
    Disk,
}

/// Part of the quota that one shard or one namespace takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Charge {
    pub(super) medium: Medium,
    pub(super) bytes: u64,
}

/// Bytes of each medium.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Amounts {
    memory: u64,
    disk: u64,
}

/// The quota, and what is taken of it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Quota {
    capacity: Amounts,
    /// Bytes of sealed shards and of namespaces.
    stored: Amounts,
    /// Bytes of shards that are being stored.
    held: Amounts,
}

impl Medium {
    /// All media, in the order in which they are tried.
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Disk];

    /// Part of the quota that a shard of this length takes on the medium.
    pub(super) fn charge(self, len: ByteSize) -> Charge {
        let beside = match self {
            Self::Memory => 0,
            Self::Disk => HEADER_LEN,
        };
        let bytes = len.bytes().checked_add(beside);
        let bytes = bytes.and_then(|bytes| bytes.checked_next_multiple_of(UNIT.bytes()));
        Charge { medium: self, bytes: bytes.unwrap_or(u64::MAX).max(CHARGE_MIN) }
    }

    /// Part of the quota that a namespace takes.
    pub(super) const fn charge_of_namespace(self) -> Charge {
        Charge { medium: self, bytes: CHARGE_MIN }
    }
}

impl Amounts {
    pub(super) const fn of(&self, medium: Medium) -> u64 {
        match medium {
            Medium::Memory => self.memory,
            Medium::Disk => self.disk,
        }
    }

    pub(super) const fn add(&mut self, charge: Charge) {
        *self.of_mut(charge.medium) += charge.bytes;
    }

    const fn subtract(&mut self, charge: Charge) {
        *self.of_mut(charge.medium) -= charge.bytes;
    }

    const fn of_mut(&mut self, medium: Medium) -> &mut u64 {
        match medium {
            Medium::Memory => &mut self.memory,
            Medium::Disk => &mut self.disk,
        }
    }
}

impl Quota {
    pub(super) const fn new(memory: ByteSize, disk: ByteSize) -> Self {
        const NOTHING: Amounts = Amounts { memory: 0, disk: 0 };
        let capacity = Amounts { memory: memory.bytes(), disk: disk.bytes() };
        Self { capacity, stored: NOTHING, held: NOTHING }
    }

    pub(super) const fn capacity(&self, medium: Medium) -> ByteSize {
        ByteSize::new(self.capacity.of(medium))
    }

    pub(super) const fn taken(&self, medium: Medium) -> ByteSize {
        ByteSize::new(self.stored.of(medium) + self.held.of(medium))
    }

    /// Whether there is room once as much as `freed` has left.
    pub(super) fn fits(&self, charge: Charge, freed: &Amounts) -> bool {
        let wanted = self.taken(charge.medium).bytes().checked_add(charge.bytes);
        let freed = freed.of(charge.medium);
        wanted.is_some_and(|wanted| wanted - freed <= self.capacity.of(charge.medium))
    }

    /// Takes room for a shard that is being stored.
    pub(super) const fn hold(&mut self, charge: Charge) {
        self.held.add(charge);
    }

    /// Gives the room of such a shard back.
    pub(super) const fn give_back(&mut self, charge: Charge) {
        self.held.subtract(charge);
    }

    /// Takes room for what is stored.
    pub(super) const fn store(&mut self, charge: Charge) {
        self.stored.add(charge);
    }

    /// Gives the room of what was stored back.
    pub(super) const fn free(&mut self, charge: Charge) {
        self.stored.subtract(charge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shards_are_charged_for_their_names_and_files_for_their_header() {
        let charges = |medium: Medium| {
            [0, 1, CHARGE_MIN, CHARGE_MIN + 1].map(|len| medium.charge(ByteSize::new(len)).bytes)
        };
        let unit = UNIT.bytes();
        let next = CHARGE_MIN + unit;
        assert_eq!(charges(Medium::Memory), [CHARGE_MIN, CHARGE_MIN, CHARGE_MIN, next]);
        assert_eq!(charges(Medium::Disk), [CHARGE_MIN, CHARGE_MIN, next, next + unit]);
        for medium in Medium::ALL {
            let huge = medium.charge(ByteSize::new(u64::MAX));
            assert_eq!(huge.bytes, u64::MAX);
            let mut quota = Quota::new(ByteSize::mib(1), ByteSize::mib(1));
            quota.hold(medium.charge(ByteSize::ZERO));
            assert!(!quota.fits(huge, &Amounts::default()));
        }
    }

    #[test]
    fn each_medium_has_room_of_its_own() {
        let mut quota = Quota::new(ByteSize::kib(128), ByteSize::kib(64));
        let [memory, disk] = Medium::ALL.map(|medium| medium.charge(ByteSize::ZERO));
        let none = Amounts::default();
        quota.hold(memory);
        quota.store(disk);
        assert!(quota.fits(memory, &none) && !quota.fits(disk, &none));
        let mut freed = none;
        freed.add(disk);
        assert!(quota.fits(disk, &freed));
        quota.free(disk);
        quota.store(memory);
        assert!(!quota.fits(memory, &freed) && quota.fits(disk, &none));
        quota.give_back(memory);
        assert_eq!(Medium::ALL.map(|medium| quota.taken(medium).bytes()), [CHARGE_MIN, 0]);
    }
}
