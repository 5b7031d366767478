//! Shards on their way in.

use std::sync::Arc;

use kvlease_types::{BucketName, ByteSize, Caller, WriteRefused};
use tokio::time::{Instant, sleep};

use super::{
    handle::Checkpoints,
    name::{Record, ShardName, ShardPlace},
    refused::CheckpointRefused,
    table::{Shard, charge},
};
use crate::{put::Put, requests::ROOM_PAUSE, write::Stored};

/// A shard that is being stored. Dropping it discards the bytes; the shard that was there before stays.
#[derive(Debug)]
pub struct ShardPut {
    put: Put,
    caller: Caller,
    bucket: BucketName,
    /// Which of the namespaces that had this name one after the other.
    namespace: u64,
    name: ShardName,
    held: Held,
}

/// Part of the quota that one shard has before it is sealed.
#[derive(Debug)]
struct Held {
    checkpoints: Arc<Checkpoints>,
    charge: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.charge > 0 {
            self.checkpoints.table().give_back(self.charge);
        }
    }
}

impl Checkpoints {
    /// Starts to store a shard of this length, in place of the one that is there.
    ///
    /// Where the quota has no room, older steps of the namespace leave for it, though neither the
    /// newest whole one nor the one that is being stored. Where the arena has none, as leases hold it
    /// or it is not populated that far, this waits until `until`.
    pub async fn put(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        place: ShardPlace,
        meta: Option<Arc<str>>,
        len: ByteSize,
        until: Instant,
    ) -> Result<ShardPut, CheckpointRefused> {
        let (held, namespace, name) = self.hold(caller, bucket, place, meta, len)?;
        let key = Record::Shard(name.clone()).key();
        loop {
            use WriteRefused::{Fragmented, NotPopulated, OnlyLeased};
            match Put::begin(&self.shared, caller, bucket.clone(), key.clone(), Some(len)) {
                Ok(put) => {
                    let (caller, bucket) = (*caller, bucket.clone());
                    return Ok(ShardPut { put, caller, bucket, namespace, name, held });
                }
                Err(OnlyLeased | Fragmented | NotPopulated) if Instant::now() < until => {
                    sleep(ROOM_PAUSE).await;
                }
                Err(refused) => {
                    self.shared.counters.checkpoint_shards_refused.increment();
                    return Err(refused.into());
                }
            }
        }
    }

    /// Takes part of the quota, and gives the shard its name.
    fn hold(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        place: ShardPlace,
        meta: Option<Arc<str>>,
        len: ByteSize,
    ) -> Result<(Held, u64, ShardName), CheckpointRefused> {
        let mut table = self.table();
        let charge = charge(len);
        if table.namespace(bucket).is_none() {
            return Err(CheckpointRefused::NoNamespace);
        }
        let Some(steps) = table.hold(bucket, place.step, charge, self.capacity) else {
            self.shared.counters.checkpoint_shards_refused.increment();
            return Err(self.no_room(&table));
        };
        self.shared.counters.checkpoint_steps_dropped.add(steps.len() as u64);
        for gone in steps {
            self.remove_objects(caller, bucket, &gone);
        }
        let namespace = table.namespace_mut(bucket).expect("it was there under the same lock");
        let name = namespace.next_name(place, meta);
        Ok((Held { checkpoints: Arc::clone(self), charge }, namespace.id, name))
    }
}

impl ShardPut {
    /// Appends bytes, straight into the arena.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteRefused> {
        self.put.write(bytes)
    }

    /// Publishes the shard in place of the one before. Steps beyond those that the namespace retains
    /// leave.
    pub fn seal(mut self) -> Result<Stored, CheckpointRefused> {
        let checkpoints = Arc::clone(&self.held.checkpoints);
        let counters = &checkpoints.shared.counters;
        let mut table = checkpoints.table();
        // It may have been removed meanwhile, and then made anew.
        if table.namespace(&self.bucket).is_none_or(|found| found.id != self.namespace) {
            return Err(CheckpointRefused::NoNamespace);
        }
        let stored = self.put.seal()?;
        table.give_back(std::mem::take(&mut self.held.charge));
        let place = self.name.place;
        let completed = table.complete(&self.bucket, place, Shard::new(self.name, stored.len));
        counters.checkpoint_shards_stored.increment();
        counters.checkpoint_steps_dropped.add(completed.steps.len() as u64);
        for gone in completed.replaced.into_iter().map(|key| vec![key]).chain(completed.steps) {
            checkpoints.remove_objects(&self.caller, &self.bucket, &gone);
        }
        Ok(stored)
    }
}
