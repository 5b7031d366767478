//! Table of namespaces, steps and shards: what the names of the objects say, and what has to leave.

use std::{collections::BTreeMap, sync::Arc};

use kvlease_cache::UNIT;
use kvlease_types::{BucketName, ByteSize, Key};

use super::name::{NamespaceShape, Record, ShardName, ShardPlace};

/// The least that a shard takes of the quota, so that the quota bounds the catalog's memory for small
/// ones as well. A namespace takes as much.
const CHARGE_MIN: u64 = 64 << 10;

/// Part of the quota that a shard of this length takes.
pub(super) fn charge(len: ByteSize) -> u64 {
    len.bytes().checked_next_multiple_of(UNIT.bytes()).unwrap_or(u64::MAX).max(CHARGE_MIN)
}

/// All namespaces.
#[derive(Default, Debug)]
pub(super) struct Table {
    namespaces: BTreeMap<BucketName, Namespace>,
    /// Namespaces that were made so far.
    made: u64,
    /// Part of the quota that sealed shards and namespaces take.
    stored: u64,
    /// Part of it that shards take which are being stored.
    held: u64,
}

/// One namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    /// Tells it from others that have its name before or after it.
    pub(super) id: u64,
    pub(super) shape: NamespaceShape,
    record: Key,
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
    pub(super) key: Key,
    /// Its client's description of the bytes.
    pub(super) meta: Option<Arc<str>>,
    charge: u64,
    round: u64,
    sequence: u64,
}

/// Result of a write.
#[derive(Debug)]
pub(super) struct Completed {
    /// Key of the shard that the new one replaces.
    pub(super) replaced: Option<Key>,
    /// Keys of each step that leaves.
    pub(super) steps: Vec<Vec<Key>>,
}

/// Checkpoints in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CheckpointStats {
    /// Namespaces that are there.
    pub namespaces: u64,
    /// Shards that are sealed.
    pub shards: u64,
    /// Part of the quota that shards and namespaces take, those that are being stored included.
    pub taken: ByteSize,
    /// The quota.
    pub capacity: ByteSize,
}

impl Shard {
    pub(super) fn new(name: ShardName, len: ByteSize) -> Self {
        let key = Record::Shard(name.clone()).key();
        let ShardName { round, sequence, meta, .. } = name;
        Self { key, meta, charge: charge(len), round, sequence }
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

    /// Keys of all shards, that of the highest rank first: it has the metadata, without which clients
    /// do not look for the others.
    fn into_keys(self) -> Vec<Key> {
        self.shards.into_values().rev().map(|shard| shard.key).collect()
    }

    fn charge(&self) -> u64 {
        self.shards.values().map(|shard| shard.charge).sum()
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
    pub(super) fn namespace(&self, bucket: &BucketName) -> Option<&Namespace> {
        self.namespaces.get(bucket)
    }

    pub(super) fn namespace_mut(&mut self, bucket: &BucketName) -> Option<&mut Namespace> {
        self.namespaces.get_mut(bucket)
    }

    pub(super) fn buckets(&self) -> Vec<BucketName> {
        self.namespaces.keys().cloned().collect()
    }

    /// Part of the quota that is taken.
    pub(super) const fn taken(&self) -> u64 {
        self.stored + self.held
    }

    pub(super) fn has_room_for_namespace(&self, capacity: ByteSize) -> bool {
        self.taken() + CHARGE_MIN <= capacity.bytes()
    }

    pub(super) fn add_namespace(
        &mut self,
        bucket: &BucketName,
        shape: NamespaceShape,
        record: Key,
    ) {
        self.made += 1;
        self.stored += CHARGE_MIN;
        let steps = BTreeMap::new();
        let namespace = Namespace { id: self.made, shape, record, sequence: 0, steps };
        self.namespaces.insert(bucket.clone(), namespace);
    }

    /// Takes a namespace out. Returns the keys of its objects, that of its record first: without it the
    /// next start removes what is left of the others.
    pub(super) fn remove_namespace(&mut self, bucket: &BucketName) -> Option<Vec<Key>> {
        let namespace = self.namespaces.remove(bucket)?;
        self.stored -= CHARGE_MIN + namespace.steps.values().map(Step::charge).sum::<u64>();
        let shards = namespace.steps.into_values().flat_map(Step::into_keys);
        Some(std::iter::once(namespace.record).chain(shards).collect())
    }

    pub(super) fn shard(&self, bucket: &BucketName, place: ShardPlace) -> Option<&Shard> {
        self.namespaces.get(bucket)?.steps.get(&place.step)?.shards.get(&place.rank)
    }

    /// Shards of a step, with their keys.
    pub(super) fn shards_of(&self, bucket: &BucketName, step: u64) -> Vec<(ShardPlace, Key)> {
        let found = self.namespaces.get(bucket).and_then(|namespace| namespace.steps.get(&step));
        let shards = found.into_iter().flat_map(|step| &step.shards);
        shards.map(|(rank, s)| (ShardPlace { rank: *rank, step }, s.key.clone())).collect()
    }

    pub(super) fn remove_shard(&mut self, bucket: &BucketName, place: ShardPlace) -> Option<Shard> {
        let namespace = self.namespaces.get_mut(bucket)?;
        let step = namespace.steps.get_mut(&place.step)?;
        let shard = step.shards.remove(&place.rank)?;
        if step.shards.is_empty() {
            namespace.steps.remove(&place.step);
        }
        self.stored -= shard.charge;
        Some(shard)
    }

    /// Forgets a shard whose object is gone, unless another one has taken its place.
    pub(super) fn forget(&mut self, bucket: &BucketName, place: ShardPlace, key: &Key) {
        if self.shard(bucket, place).is_some_and(|shard| shard.key == *key) {
            self.remove_shard(bucket, place);
        }
    }

    /// Takes part of the quota for a shard of this step. Returns the keys of each step that leaves for
    /// it; `None` if the quota has no room whatever leaves, and then none does.
    pub(super) fn hold(
        &mut self,
        bucket: &BucketName,
        step: u64,
        charge: u64,
        capacity: ByteSize,
    ) -> Option<Vec<Vec<Key>>> {
        let namespace = self.namespaces.get(bucket)?;
        let wanted = self.taken().checked_add(charge)?;
        let (mut leaving, mut freed) = (Vec::new(), 0);
        for number in namespace.may_leave(step) {
            if wanted - freed <= capacity.bytes() {
                break;
            }
            freed += namespace.steps[&number].charge();
            leaving.push(number);
        }
        if wanted - freed > capacity.bytes() {
            return None;
        }
        self.held += charge;
        Some(self.take_steps(bucket, &leaving))
    }

    pub(super) const fn give_back(&mut self, charge: u64) {
        self.held -= charge;
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

    /// Puts a shard in place. Returns the key of the older one, if there are two: that of the new one
    /// where a later write was quicker.
    pub(super) fn restore(
        &mut self,
        bucket: &BucketName,
        place: ShardPlace,
        shard: Shard,
    ) -> Option<Key> {
        let namespace = self.namespaces.get_mut(bucket).expect("the caller has looked it up");
        namespace.sequence = namespace.sequence.max(shard.sequence);
        let step = namespace.steps.entry(place.step).or_default();
        if step.shards.get(&place.rank).is_some_and(|other| other.sequence > shard.sequence) {
            return Some(shard.key);
        }
        self.stored += shard.charge;
        let older = step.shards.insert(place.rank, shard)?;
        self.stored -= older.charge;
        Some(older.key)
    }

    pub(super) fn stats(&self, capacity: ByteSize) -> CheckpointStats {
        let steps = self.namespaces.values().flat_map(|namespace| namespace.steps.values());
        CheckpointStats {
            namespaces: self.namespaces.len() as u64,
            shards: steps.map(|step| step.shards.len() as u64).sum(),
            taken: ByteSize::new(self.taken()),
            capacity,
        }
    }

    fn take_steps(&mut self, bucket: &BucketName, steps: &[u64]) -> Vec<Vec<Key>> {
        let Some(namespace) = self.namespaces.get_mut(bucket) else { return Vec::new() };
        let taken: Vec<_> = steps.iter().filter_map(|s| namespace.steps.remove(s)).collect();
        self.stored -= taken.iter().map(Step::charge).sum::<u64>();
        taken.into_iter().map(Step::into_keys).collect()
    }
}

#[cfg(test)]
mod tests;
