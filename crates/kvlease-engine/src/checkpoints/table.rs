//! Table of namespaces, steps and shards: what the names of the objects say, and what has to leave.

use std::{collections::BTreeMap, sync::Arc};

use kvlease_types::{BucketName, ByteSize, Key};

use super::{
    disk::StoredFile,
    name::{NamespaceShape, Record, ShardName, ShardPlace},
    quota::{Amounts, Charge, Medium, Quota},
};

/// All namespaces.
#[derive(Default, Debug)]
pub(super) struct Table {
    namespaces: BTreeMap<BucketName, Namespace>,
    /// Namespaces that were made so far.
    made: u64,
    pub(super) quota: Quota,
}

/// One namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    /// Tells it from others that have its name before or after it.
    pub(super) id: u64,
    pub(super) shape: NamespaceShape,
    record: Key,
    charge: Charge,
    /// That of the latest write.
    sequence: u64,
    steps: BTreeMap<u64, Step>,
}

/// Shards of one step, by rank.
///
/// A step is whole if every rank has a shard, and all are of one round. The first shard that is written
/// into a whole step begins its next round: a job that went back to an earlier step rewrites this one,
/// and until all ranks have, shards of two runs lie side by side.
#[derive(Default, Debug)]
pub(super) struct Step {
    shards: BTreeMap<u32, Shard>,
}

/// One sealed shard.
#[derive(Debug)]
pub(super) struct Shard {
    key: Key,
    /// Its client's description of the bytes.
    meta: Option<Arc<str>>,
    home: Home,
    charge: Charge,
    round: u64,
    sequence: u64,
}

/// Place of a shard's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    /// The arena: the object of its key.
    Arena,
    /// A file on the disk.
    File(StoredFile),
    /// The shared store alone.
    Replica,
}

/// Shard that a reader wants.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) meta: Option<Arc<str>>,
    pub(super) home: Home,
}

/// Shard or record that has to be removed: an object of the arena, or a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gone {
    pub(super) key: Key,
    pub(super) file: Option<StoredFile>,
}

/// Result of a write.
#[derive(Debug)]
pub(super) struct Completed {
    /// The shard that the new one replaces.
    pub(super) replaced: Option<Gone>,
    /// Shards of each step that leaves.
    pub(super) steps: Vec<Vec<Gone>>,
}

/// Room that a shard has before it is stored.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) charge: Charge,
    /// Shards of each step that leaves for it.
    pub(super) steps: Vec<Vec<Gone>>,
}

/// Checkpoints in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CheckpointStats {
    /// Namespaces that are there.
    pub namespaces: u64,
    /// Shards that are sealed.
    pub shards: u64,
    /// Those of them that are on the disk.
    pub shards_on_disk: u64,
    /// Shards that only the shared store has.
    pub shards_elsewhere: u64,
    /// Copies to the shared store and removals from it that have not ended.
    pub replicas_waiting: u64,
    /// Part of the memory's quota that shards and namespaces take, those that are being stored included.
    pub taken: ByteSize,
    /// The memory's quota.
    pub capacity: ByteSize,
    /// Part of the disk's quota that is taken.
    pub disk_taken: ByteSize,
    /// The disk's quota.
    pub disk_capacity: ByteSize,
}

impl Shard {
    /// A shard in the arena, or in this file.
    pub(super) fn new(name: ShardName, len: ByteSize, file: Option<StoredFile>) -> Self {
        let key = Record::Shard(name.clone()).key();
        let ShardName { round, sequence, meta, .. } = name;
        let (home, medium) = match file {
            Some(file) => (Home::File(file), Medium::Disk),
            None => (Home::Arena, Medium::Memory),
        };
        Self { key, meta, home, charge: medium.charge(len), round, sequence }
    }

    /// A shard that only the shared store has. It takes nothing of the quota.
    pub(super) fn replica(name: ShardName) -> Self {
        let (key, charge) = (name.key(), Charge { medium: Medium::Memory, bytes: 0 });
        let ShardName { round, sequence, meta, .. } = name;
        Self { key, meta, home: Home::Replica, charge, round, sequence }
    }

    pub(super) fn has_key(&self, key: &Key) -> bool {
        self.key == *key
    }

    pub(super) const fn is_older_than(&self, name: &ShardName) -> bool {
        self.sequence < name.sequence
    }

    const fn file(&self) -> Option<StoredFile> {
        match self.home {
            Home::File(file) => Some(file),
            Home::Arena | Home::Replica => None,
        }
    }

    /// Parts that a reader needs.
    pub(super) fn found(&self) -> Found {
        Found { key: self.key.clone(), meta: self.meta.clone(), home: self.home }
    }

    pub(super) fn into_gone(self) -> Gone {
        Gone { file: self.file(), key: self.key }
    }
}

impl Step {
    fn is_whole(&self, num_ranks: u32) -> bool {
        let Some((last, shard)) = self.shards.last_key_value() else { return false };
        // More ranks than the namespace was made for are all needed.
        let needed = u64::from(num_ranks).max(u64::from(*last) + 1);
        self.shards.len() as u64 == needed
            && self.shards.values().all(|other| other.round == shard.round)
    }

    fn round(&self) -> u64 {
        self.shards.values().map(|shard| shard.round).max().unwrap_or(0)
    }

    /// All shards, that of the highest rank first: it has the metadata, without which clients do not
    /// look for the others.
    fn into_gone(self) -> Vec<Gone> {
        self.shards.into_values().rev().map(Shard::into_gone).collect()
    }

    fn charges(&self) -> impl Iterator<Item = Charge> {
        self.shards.values().map(|shard| shard.charge)
    }
}

impl Namespace {
    /// The name of the next shard that is written.
    pub(super) fn next_name(&mut self, place: ShardPlace, meta: Option<Arc<str>>) -> ShardName {
        self.sequence += 1;
        let round = self
            .steps
            .get(&place.step)
            .map_or(0, |step| step.round() + u64::from(step.is_whole(self.shape.num_ranks)));
        ShardName { place, round, sequence: self.sequence, meta }
    }

    /// Steps with all of their shards, the newest first.
    pub(super) fn whole_steps(&self) -> Vec<u64> {
        let steps = self.steps.iter().rev();
        let whole = steps.filter(|(_, step)| step.is_whole(self.shape.num_ranks));
        whole.map(|(number, _)| *number).collect()
    }

    /// Steps that may leave while `written` is being written, the oldest first: not the newest whole
    /// one, which a job that is started again needs.
    fn may_leave(&self, written: u64) -> Vec<u64> {
        let newest = self.whole_steps().first().copied();
        let others = self.steps.keys().copied();
        others.filter(|step| *step != written && Some(*step) != newest).collect()
    }

    /// Steps that leave since the rank has more than it retains.
    fn surplus(&self, ShardPlace { rank, step }: ShardPlace) -> Vec<u64> {
        let has_rank = |number: &u64| self.steps[number].shards.contains_key(&rank);
        let count = self.steps.keys().filter(|number| has_rank(number)).count();
        let excess = count.saturating_sub(self.shape.steps_retained as usize);
        self.may_leave(step).into_iter().filter(has_rank).take(excess).collect()
    }
}

impl Table {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, ..Self::default() }
    }

    pub(super) fn namespace(&self, bucket: &BucketName) -> Option<&Namespace> {
        self.namespaces.get(bucket)
    }

    pub(super) fn namespace_mut(&mut self, bucket: &BucketName) -> Option<&mut Namespace> {
        self.namespaces.get_mut(bucket)
    }

    pub(super) fn buckets(&self) -> Vec<BucketName> {
        self.namespaces.keys().cloned().collect()
    }

    /// Adds a namespace, whether the quota has room for it or not.
    pub(super) fn add_namespace(
        &mut self,
        bucket: &BucketName,
        shape: NamespaceShape,
        record: Key,
    ) {
        self.made += 1;
        let charge = self.room_for_namespace().unwrap_or(Medium::Memory.charge_of_namespace());
        self.quota.store(charge);
        let steps = BTreeMap::new();
        let namespace = Namespace { id: self.made, shape, record, charge, sequence: 0, steps };
        self.namespaces.insert(bucket.clone(), namespace);
    }

    /// Room for a namespace, if the quota has it. Its record is in memory; where checkpoints are on the
    /// disk alone, it counts there.
    pub(super) fn room_for_namespace(&self) -> Option<Charge> {
        let charges = Medium::ALL.map(Medium::charge_of_namespace);
        charges.into_iter().find(|charge| self.quota.fits(*charge, &Amounts::default()))
    }

    /// Takes a namespace out. Returns its objects, its record first: without it the next start removes
    /// what is left of the others in the arena.
    pub(super) fn remove_namespace(&mut self, bucket: &BucketName) -> Option<Vec<Gone>> {
        let namespace = self.namespaces.remove(bucket)?;
        self.quota.free(namespace.charge);
        namespace.steps.values().flat_map(Step::charges).for_each(|charge| self.quota.free(charge));
        let shards = namespace.steps.into_values().flat_map(Step::into_gone);
        let record = Gone { key: namespace.record, file: None };
        Some(std::iter::once(record).chain(shards).collect())
    }

    pub(super) fn shard(&self, bucket: &BucketName, place: ShardPlace) -> Option<&Shard> {
        self.namespaces.get(bucket)?.steps.get(&place.step)?.shards.get(&place.rank)
    }

    /// Shards of a step in the arena, with their keys.
    pub(super) fn objects_of(&self, bucket: &BucketName, step: u64) -> Vec<(ShardPlace, Key)> {
        let found = self.namespaces.get(bucket).and_then(|namespace| namespace.steps.get(&step));
        let shards = found.into_iter().flat_map(|step| &step.shards);
        let objects = shards.filter(|(_, shard)| shard.home == Home::Arena);
        objects.map(|(rank, s)| (ShardPlace { rank: *rank, step }, s.key.clone())).collect()
    }

    pub(super) fn remove_shard(&mut self, bucket: &BucketName, place: ShardPlace) -> Option<Shard> {
        let namespace = self.namespaces.get_mut(bucket)?;
        let step = namespace.steps.get_mut(&place.step)?;
        let shard = step.shards.remove(&place.rank)?;
        if step.shards.is_empty() {
            namespace.steps.remove(&place.step);
        }
        self.quota.free(shard.charge);
        Some(shard)
    }

    /// Forgets the shards of a namespace that the shared store had, where `is_gone` says so.
    pub(super) fn forget_replicas(
        &mut self,
        bucket: &BucketName,
        is_gone: impl Fn(ShardPlace, &Key) -> bool,
    ) {
        let mut gone = Vec::new();
        self.for_each_shard(|found, place, shard| {
            if found == bucket && shard.home == Home::Replica && is_gone(place, &shard.key) {
                gone.push(place);
            }
        });
        for place in gone {
            self.remove_shard(bucket, place);
        }
    }

    pub(super) fn for_each_namespace(&self, mut seen: impl FnMut(&BucketName, NamespaceShape)) {
        self.namespaces.iter().for_each(|(bucket, namespace)| seen(bucket, namespace.shape));
    }

    /// Shards whose bytes are on this node, with their keys.
    pub(super) fn for_each_local(&self, mut seen: impl FnMut(&BucketName, ShardPlace, &Key)) {
        self.for_each_shard(|bucket, place, shard| {
            if shard.home != Home::Replica {
                seen(bucket, place, &shard.key);
            }
        });
    }

    fn for_each_shard(&self, mut seen: impl FnMut(&BucketName, ShardPlace, &Shard)) {
        for (bucket, namespace) in &self.namespaces {
            for (step, shards) in &namespace.steps {
                for (rank, shard) in &shards.shards {
                    seen(bucket, ShardPlace { rank: *rank, step: *step }, shard);
                }
            }
        }
    }

    /// Forgets a shard whose bytes are gone, unless another one has taken its place. Returns it.
    pub(super) fn forget(
        &mut self,
        bucket: &BucketName,
        place: ShardPlace,
        key: &Key,
    ) -> Option<Shard> {
        let is_it = self.shard(bucket, place).is_some_and(|shard| shard.key == *key);
        if is_it { self.remove_shard(bucket, place) } else { None }
    }

    /// Takes room for a shard of this step, on the first of these media that has it. Steps leave for it
    /// only if none has room. `None` if there is none whatever leaves, and then nothing does.
    pub(super) fn hold(
        &mut self,
        bucket: &BucketName,
        step: u64,
        len: ByteSize,
        media: &[Medium],
    ) -> Option<Room> {
        let namespace = self.namespaces.get(bucket)?;
        let may_leave = namespace.may_leave(step);
        let charges: Vec<_> = media.iter().map(|medium| medium.charge(len)).collect();
        let (mut leaving, mut freed) = (0, Amounts::default());
        let charge = loop {
            if let Some(charge) = charges.iter().find(|charge| self.quota.fits(**charge, &freed)) {
                break *charge;
            }
            let number = may_leave.get(leaving)?;
            namespace.steps[number].charges().for_each(|charge| freed.add(charge));
            leaving += 1;
        };
        self.quota.hold(charge);
        Some(Room { charge, steps: self.take_steps(bucket, &may_leave[..leaving]) })
    }

    /// Takes room on the disk for a shard, if there is some.
    pub(super) fn hold_on_disk(&mut self, len: ByteSize) -> Option<Charge> {
        let charge = Medium::Disk.charge(len);
        let fits = self.quota.fits(charge, &Amounts::default());
        fits.then(|| {
            self.quota.hold(charge);
            charge
        })
    }

    /// Puts a shard in place, and takes out what leaves for it.
    pub(super) fn complete(
        &mut self,
        bucket: &BucketName,
        place: ShardPlace,
        shard: Shard,
    ) -> Completed {
        let replaced = self.restore(bucket, place, shard);
        let surplus = self.namespaces[bucket].surplus(place);
        Completed { replaced, steps: self.take_steps(bucket, &surplus) }
    }

    /// Puts a shard in place. Returns the older one, if there are two: the new one where a later write
    /// was quicker.
    pub(super) fn restore(
        &mut self,
        bucket: &BucketName,
        place: ShardPlace,
        shard: Shard,
    ) -> Option<Gone> {
        let namespace = self.namespaces.get_mut(bucket).expect("the caller has looked it up");
        namespace.sequence = namespace.sequence.max(shard.sequence);
        let step = namespace.steps.entry(place.step).or_default();
        if step.shards.get(&place.rank).is_some_and(|other| other.sequence > shard.sequence) {
            return Some(shard.into_gone());
        }
        self.quota.store(shard.charge);
        let older = step.shards.insert(place.rank, shard)?;
        self.quota.free(older.charge);
        Some(older.into_gone())
    }

    pub(super) fn stats(&self) -> CheckpointStats {
        let steps = self.namespaces.values().flat_map(|namespace| namespace.steps.values());
        let (mut shards, mut shards_on_disk, mut shards_elsewhere) = (0, 0, 0);
        for shard in steps.flat_map(|step| step.shards.values()) {
            match shard.home {
                Home::Arena => shards += 1,
                Home::File(_) => (shards, shards_on_disk) = (shards + 1, shards_on_disk + 1),
                Home::Replica => shards_elsewhere += 1,
            }
        }
        CheckpointStats {
            namespaces: self.namespaces.len() as u64,
            shards,
            shards_on_disk,
            shards_elsewhere,
            replicas_waiting: 0,
            taken: self.quota.taken(Medium::Memory),
            capacity: self.quota.capacity(Medium::Memory),
            disk_taken: self.quota.taken(Medium::Disk),
            disk_capacity: self.quota.capacity(Medium::Disk),
        }
    }

    fn take_steps(&mut self, bucket: &BucketName, steps: &[u64]) -> Vec<Vec<Gone>> {
        let Some(namespace) = self.namespaces.get_mut(bucket) else { return Vec::new() };
        let taken: Vec<_> = steps.iter().filter_map(|s| namespace.steps.remove(s)).collect();
        taken.iter().flat_map(Step::charges).for_each(|charge| self.quota.free(charge));
        taken.into_iter().map(Step::into_gone).collect()
    }
}

#[cfg(test)]
mod tests;
