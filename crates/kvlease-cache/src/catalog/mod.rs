//! Catalog: the table of objects, leases and free extents.
//!
//! One structure behind the caller's mutex. Each file beside this one is a part of its surface:
//! [`mod@write`] (reserve, extend, seal, abort), [`spare`] (reserve now, name later), [`lease`] (acquire, release, renew), [`remove`],
//! [`victims`] (eviction ahead of need), [`ahead`] (the same within quotas), [`order`] (what leaves next, and what leaves with it), [`bucket_policies`], [`quota`] (what buckets and tenants have), [`publish`] (what the change log reports, and its
//! acknowledgement), [`reap`] (what ends by the clock), [`restore`] (objects of an earlier
//! incarnation), [`verify`] (known bytes), [`list`], [`stats`]. [`room`] makes space and memory free
//! and decides beforehand whether that can succeed, so that a refusal evicts nothing.
//!
//! The life of an object: *pending* (reserved) → *sealed* (published) → *removed* (unpublished, still
//! read) → *departed* (without readers, not acknowledged) → its slot and extents are free. An object
//! without readers departs at once when it is unpublished.

mod ahead;
mod bucket_policies;
mod invariants;
mod lease;
mod list;
mod order;
mod policy_change;
mod publish;
mod quarantine;
mod quota;
mod reap;
mod references;
mod remove;
mod restore;
mod room;
mod spare;
mod stats;
mod verify;
mod victim_queue;
mod victims;
mod write;

use std::collections::VecDeque;

use kvlease_types::{ByteSize, Epoch, Timestamp};

use crate::{
    changes::ChangeLog,
    classes::Classes,
    config::{CAPACITY_MAX, CatalogConfig, UNIT},
    deadlines::Deadlines,
    eviction::Succession,
    ghost::Ghost,
    groups::Groups,
    late::Late,
    leases::Leases,
    objects::Objects,
    outcome::CatalogTotals,
    quarantine::Quarantine,
    references::ReferenceLog,
    space::Space,
    tally::Tally,
};
use victim_queue::VictimQueue;

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
    /// Slots of the objects in grace, by its end.
    grace_deadlines: Deadlines,
    /// The evictable objects that are no victims, by class in the order in which they leave: an entry for each
    /// that is alone, and one for each group. See [`order`].
    policy: Succession,
    classes: Classes,
    /// Sealed objects that leave together.
    groups: Groups,
    /// Groups that left lately.
    late: Late,
    /// Time of the last look at what has expired, for look-ups that come without one.
    clock: Timestamp,
    /// The evictable objects that were chosen to leave next.
    victims: VictimQueue,
    /// Objects in [`State::Pending`](crate::objects::State).
    pending: Tally,
    /// Objects that are sealed.
    sealed: Tally,
    /// Those of them that may be evicted now.
    evictable: Tally,
    /// Objects that left and may still be read.
    removed: Tally,
    /// Objects that left, have no reader, and wait for the acknowledgement.
    departed: Tally,
    /// Their slots, each with the number of the change that frees it, in the order of the numbers.
    departures: VecDeque<(u64, u32)>,
    log: ChangeLog,
    /// Uses of objects, for the live curve.
    references: ReferenceLog,
    /// Sealed objects that were restored and not verified since.
    unverified: u64,
    /// Units of the sealed objects that are retained.
    retained_units: u64,
    /// Exact size of the objects with leases.
    leased_bytes: u64,
    /// Names of the objects evicted lately, no more than there are slots, marked if a copy is
    /// elsewhere.
    gone: Ghost,
    totals: CatalogTotals,
    /// Given to the object that was reserved last.
    generation: u64,
    /// Whether a bucket or a tenant came near its quota, where room is made ahead of need.
    short_within_quotas: bool,
}

impl Catalog {
    /// Empty catalog. Nothing can be reserved before [`grow`](Self::grow).
    pub fn new(config: CatalogConfig, epoch: Epoch) -> Self {
        let objects = Objects::new(config.hash_seed);
        let memory_max = memory_limit(&config);
        let log = ChangeLog::new(memory_max);
        let leases = Leases::new(config.lease_limits(), &config.quotas.tenants);
        let mut classes = Classes::new(&config.quotas);
        for (bucket, policy) in &config.buckets {
            classes.set(bucket, policy.clone());
        }
        let mut policy = Succession::new(config.eviction);
        assign_owners(&mut policy, &classes);
        Self {
            capacity: whole_units(config.capacity),
            config,
            epoch,
            space: Space::new(),
            quarantine: Quarantine::default(),
            objects,
            leases,
            grace_deadlines: Deadlines::default(),
            policy,
            groups: Groups::new(),
            late: Late::default(),
            classes,
            clock: Timestamp::default(),
            victims: VictimQueue::default(),
            pending: Tally::default(),
            sealed: Tally::default(),
            evictable: Tally::default(),
            removed: Tally::default(),
            departed: Tally::default(),
            departures: VecDeque::new(),
            log,
            references: ReferenceLog::default(),
            unverified: 0,
            retained_units: 0,
            leased_bytes: 0,
            gone: Ghost::default(),
            totals: CatalogTotals::default(),
            generation: 0,
            short_within_quotas: false,
        }
    }

    /// Most slots that there can be with the memory that the catalog may use: all are numbered
    /// below this.
    pub fn slots_max(&self) -> u32 {
        let slots = self.objects_memory_max() / Objects::SLOT_BYTES;
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Slots that there are or were.
    pub fn slots(&self) -> u32 {
        self.objects.span() as u32
    }

    /// Incarnation that this catalog grants leases for.
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

    /// Estimated memory of everything in the catalog, without the names and extents of departed
    /// objects: those are free with the next acknowledgement, and no more than the log is long.
    fn memory(&self) -> usize {
        self.objects_memory() + self.leases.memory()
    }

    /// The part of it that is not the leases'.
    fn objects_memory(&self) -> usize {
        let heap = self.pending.memory + self.sealed.memory + self.removed.memory;
        self.objects.memory()
            + self.log.memory()
            + self.space.span() * Space::BLOCK_BYTES
            + self.quarantine.memory()
            + heap as usize
    }

    /// Limit of that part: leases have a share of their own.
    fn objects_memory_max(&self) -> usize {
        self.memory_max().saturating_sub(self.leases.limits().memory)
    }

    fn memory_max(&self) -> usize {
        memory_limit(&self.config)
    }
}

/// Tells policies whose classes there are.
fn assign_owners(policy: &mut Succession, classes: &Classes) {
    for class in 0..classes.len() as u8 {
        policy.assign(class, classes.owner(class));
    }
}

fn memory_limit(config: &CatalogConfig) -> usize {
    usize::try_from(config.memory_max.bytes()).unwrap_or(usize::MAX)
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
