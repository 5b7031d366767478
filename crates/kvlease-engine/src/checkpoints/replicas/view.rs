//! Shards and namespaces that other nodes stored, as this node sees them.

use std::collections::BTreeMap;

use kvlease_types::{BucketName, Caller, Key};

use super::super::{
    handle::Checkpoints,
    name::{Record, ShardName, ShardPlace},
    refused::CheckpointRefused,
    table::Shard,
};

impl Checkpoints {
    /// Takes a namespace over that another node made, if this one does not have it.
    pub async fn adopt(&self, caller: &Caller, bucket: &BucketName) {
        let Some(replicas) = self.replicas.as_ref().filter(|_| self.shape(bucket).is_none()) else {
            return;
        };
        let keys = match replicas.remote.keys(bucket, "namespace/").await {
            Ok(keys) => keys,
            Err(error) => return tracing::warn!("the shared store was not asked: {error}"),
        };
        let shape = keys.iter().find_map(|key| match Record::parse(key.as_str()) {
            Some(Record::Namespace(shape)) => Some(shape),
            _ => None,
        });
        if let Some(shape) = shape {
            match self.create(caller, bucket, shape) {
                Ok(()) => {
                    tracing::info!(namespace = %bucket, "took a namespace of another node over")
                }
                Err(error) => tracing::warn!(namespace = %bucket, "not taken over: {error}"),
            }
        }
    }

    /// Looks what shards of a namespace the store has. Those that are newer than the ones here take their
    /// place.
    pub async fn refresh(&self, caller: &Caller, bucket: &BucketName) {
        self.adopt(caller, bucket).await;
        let Some(replicas) = self.replicas.as_ref().filter(|_| self.shape(bucket).is_some()) else {
            return;
        };
        let keys = match replicas.remote.keys(bucket, "shard/").await {
            Ok(keys) => keys,
            Err(error) => return tracing::warn!("the shared store was not asked: {error}"),
        };
        let names =
            keys.iter().filter_map(shard).filter(|name| !replicas.is_removing(bucket, name));
        let newest = newest(names);
        let files = {
            let mut table = self.table();
            // It may have been removed meanwhile.
            if table.namespace(bucket).is_none() {
                return;
            }
            table.forget_replicas(bucket, |place, key| {
                newest.get(&(place.step, place.rank)).is_none_or(|name| name.key() != *key)
            });
            let mut gone = Vec::new();
            for name in newest.into_values() {
                let place = name.place;
                if table.shard(bucket, place).is_none_or(|shard| shard.is_older_than(&name)) {
                    gone.extend(table.restore(bucket, place, Shard::replica(name)));
                }
            }
            self.remove_objects(caller, bucket, gone)
        };
        self.remove_files(files).await;
    }

    /// Removes the record of a namespace in the store, so that no node takes it over any more.
    pub(in super::super) async fn remove_shared_namespace(
        &self,
        bucket: &BucketName,
    ) -> Result<(), CheckpointRefused> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let removed = async {
            let keys = replicas.remote.keys(bucket, "namespace/").await?;
            replicas.remote.remove(bucket, &keys).await
        };
        removed.await.map_err(|error| {
            tracing::warn!(namespace = %bucket, "not removed from the shared store: {error}");
            CheckpointRefused::StoreFailed
        })
    }
}

fn shard(key: &Key) -> Option<ShardName> {
    match Record::parse(key.as_str())? {
        Record::Shard(name) => Some(name),
        Record::Namespace(_) => None,
    }
}

/// The newest write of each shard.
fn newest(names: impl Iterator<Item = ShardName>) -> BTreeMap<(u64, u32), ShardName> {
    let mut newest = BTreeMap::<(u64, u32), ShardName>::new();
    for name in names {
        let ShardPlace { rank, step } = name.place;
        let is_newer = |found: &ShardName| found.sequence < name.sequence;
        if newest.get(&(step, rank)).is_none_or(is_newer) {
            newest.insert((step, rank), name);
        }
    }
    newest
}
