//! The table of objects, leases and free extents.
//!
//! One structure behind the caller's mutex. Each file beside this one is a part of its surface:
//! [`mod@write`] (reserve, extend, seal, abort), [`lease`] (acquire, release, renew), [`remove`],
//! [`reap`] (what ends by the clock), [`restore`] (what an earlier incarnation had), [`verify`]
//! (whose bytes are known), [`list`], [`stats`]. [`room`] makes space and memory free
//! and decides beforehand whether that can succeed, so that a refusal evicts nothing.

mod check;
mod lease;
mod list;
mod quarantine;
mod reap;
mod remove;
mod restore;
mod room;
mod stats;
mod tally;
mod verify;
mod write;

use kvlease_types::{ByteSize, Epoch, Timestamp};

use crate::{
    config::{CAPACITY_MAX, CatalogConfig, UNIT},
    deadlines::Deadlines,
    eviction::{self, EvictionPolicy},
    ghost::Ghost,
    leases::Leases,
    objects::Objects,
    outcome::CatalogTotals,
    space::Space,
    watch::SlotWatch,
};
use quarantine::Quarantine;
use tally::Tally;

pub use restore::Restoration;

/// Which object is where, who may read it, and what is free. See the crate's documentation.
#[derive(Debug)]
pub struct Catalog {
    config: CatalogConfig,
    epoch: Epoch,
    /// Units that the arena has, or is going to have.
    capacity: u32,
    space: Space,
    quarantine: Quarantine,
    objects: Objects,
    leases: Leases,
    /// Slots of the objects that are held, by the end of the grace.
    holds: Deadlines,
    policy: Box<dyn EvictionPolicy>,
    /// Objects that are being written.
    writing: Tally,
    /// Objects that are sealed.
    sealed: Tally,
    /// Those of them that may be evicted now.
    evictable: Tally,
    /// Objects that were removed and may still be read.
    removed: Tally,
    /// Sealed objects whose bytes nobody has looked at since they were restored.
    unverified: u64,
    /// Exact size of the objects with leases.
    leased_bytes: u64,
    /// Names of the objects evicted lately, no more than there are slots.
    gone: Ghost,
    totals: CatalogTotals,
    /// Given to the object that was reserved last.
    generation: u64,
    watch: Option<Box<dyn SlotWatch>>,
}

impl Catalog {
    /// An empty catalog. Nothing can be reserved before [`grow`](Self::grow).
    pub fn new(config: CatalogConfig, epoch: Epoch) -> Self {
        let policy = eviction::policy(config.eviction);
        Self {
            capacity: whole_units(config.capacity),
            config,
            epoch,
            space: Space::new(),
            quarantine: Quarantine::default(),
            objects: Objects::new(),
            leases: Leases::new(),
            holds: Deadlines::default(),
            policy,
            writing: Tally::default(),
            sealed: Tally::default(),
            evictable: Tally::default(),
            removed: Tally::default(),
            unverified: 0,
            leased_bytes: 0,
            gone: Ghost::default(),
            totals: CatalogTotals::default(),
            generation: 0,
            watch: None,
        }
    }

    /// Tells `watch` from now on what every slot holds. To be called before the first object is
    /// sealed or restored.
    pub fn watch_slots(&mut self, watch: Box<dyn SlotWatch>) {
        self.watch = Some(watch);
    }

    /// How many slots there can be, at most, with the memory that the catalog may use: all are
    /// numbered below this.
    pub fn slots_max(&self) -> u32 {
        let slots = self.memory_max() / Objects::SLOT_BYTES;
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// The incarnation this catalog grants leases for.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The limits it works within. The capacity in [`stats`](Self::stats) may be smaller.
    pub const fn config(&self) -> &CatalogConfig {
        &self.config
    }

    /// The first `populated` bytes of the arena are there: extents may come from them.
    ///
    /// Whole units count. A smaller amount than before changes nothing, and neither does what
    /// goes beyond the capacity.
    pub fn grow(&mut self, populated: ByteSize) {
        let populated = whole_units(populated).min(self.capacity);
        self.quarantine.populate(&mut self.space, populated);
    }

    /// Population ended early: the arena has only `capacity` bytes. What is populated stays.
    pub fn shrink_capacity(&mut self, capacity: ByteSize) {
        self.capacity = whole_units(capacity).clamp(self.space.populated(), self.capacity);
    }

    /// Estimated memory of everything the catalog holds.
    fn memory(&self) -> usize {
        let heap = self.writing.memory + self.sealed.memory + self.removed.memory;
        self.objects.memory()
            + self.leases.span() * Leases::LEASE_BYTES
            + self.space.span() * Space::BLOCK_BYTES
            + self.quarantine.memory()
            + heap as usize
    }

    fn memory_max(&self) -> usize {
        usize::try_from(self.config.memory_max.bytes()).unwrap_or(usize::MAX)
    }

    /// When the next thing ends by the clock: a lease, a grace, a quarantine.
    ///
    /// [`expire`](Self::expire) has something to do from then on.
    pub fn next_event(&self) -> Option<Timestamp> {
        let events = [self.leases.next_deadline(), self.holds.next(), self.quarantine.next()];
        events.into_iter().flatten().min()
    }
}

/// Units that are within the first `size` bytes as a whole.
fn whole_units(size: ByteSize) -> u32 {
    let units = size.min(CAPACITY_MAX).bytes() / UNIT.bytes();
    u32::try_from(units).expect("the largest capacity is below 2^32 units")
}

/// Units that `bytes` take, or `None` if no arena has that many.
fn units_for(bytes: u64) -> Option<u32> {
    u32::try_from(bytes.div_ceil(UNIT.bytes())).ok()
}

const fn unit_bytes(units: u64) -> ByteSize {
    ByteSize::new(units * UNIT.bytes())
}

#[cfg(test)]
mod tests;
