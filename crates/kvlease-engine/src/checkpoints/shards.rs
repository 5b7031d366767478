//! Shards: read, listed by step and removed.

use std::sync::Arc;

use kvlease_types::{BucketName, Caller, Key};
use tokio::time::{Instant, sleep};

use super::{
    disk::{FileRead, StoredFile},
    handle::Checkpoints,
    name::{Record, ShardPlace},
    read::{Lost, ShardRead},
    refused::CheckpointRefused,
    replicas::ReplicaRead,
    table::{Found, Home, Shard, Table},
};
use crate::{read::Read, requests::ROOM_PAUSE};

impl Checkpoints {
    /// Starts to read a shard, with its client's description of the bytes. Waits until `until` where
    /// all leases are taken.
    pub async fn read(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        place: ShardPlace,
        until: Instant,
    ) -> Result<(ShardRead, Option<Arc<str>>), CheckpointRefused> {
        self.look_for(caller, bucket, place).await;
        loop {
            let found = self.table().shard(bucket, place).map(Shard::found);
            let Found { key, meta, home } = found.ok_or(CheckpointRefused::NoShard)?;
            match home {
                Home::Arena => {}
                Home::File(file) => {
                    let lost = Lost { bucket: bucket.clone(), place, key };
                    match self.open_file(file).await {
                        Some(read) => return Ok((ShardRead::of_file(self, read, lost), meta)),
                        // Rewritten since the look at the table, or not to be read.
                        None => self.lose(&lost).await,
                    }
                    continue;
                }
                Home::Replica => {
                    if let Some(opened) = self.open_replica(bucket, &key).await? {
                        return Ok(opened);
                    }
                    drop(self.table().forget(bucket, place, &key));
                    continue;
                }
            }
            match Read::new(self.shared.acquire_for_read(caller, bucket.as_str(), key.as_str())) {
                Ok(read) => return Ok((ShardRead::of_object(read), meta)),
                // Rewritten since the look at the table, or found corrupt.
                Err(miss) if miss.is_absence() => drop(self.table().forget(bucket, place, &key)),
                Err(miss) if miss.is_limit() && Instant::now() < until => sleep(ROOM_PAUSE).await,
                Err(miss) => return Err(miss.into()),
            }
        }
    }

    /// Removes a shard.
    pub async fn remove(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        place: ShardPlace,
    ) -> Result<(), CheckpointRefused> {
        self.look_for(caller, bucket, place).await;
        let files = {
            let mut table = self.table();
            let shard = table.remove_shard(bucket, place).ok_or(CheckpointRefused::NoShard)?;
            self.remove_objects(caller, bucket, [shard.into_gone()])
        };
        self.remove_files(files).await;
        Ok(())
    }

    /// Asks the shared store for a shard that is not here.
    async fn look_for(&self, caller: &Caller, bucket: &BucketName, place: ShardPlace) {
        if self.replicas.is_some() && self.table().shard(bucket, place).is_none() {
            self.refresh(caller, bucket).await;
        }
    }

    async fn open_replica(
        &self,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<Option<(ShardRead, Option<Arc<str>>)>, CheckpointRefused> {
        let (Some(replicas), Some(Record::Shard(name))) =
            (&self.replicas, Record::parse(key.as_str()))
        else {
            return Ok(None);
        };
        match ReplicaRead::open(replicas, bucket, name).await {
            Ok(opened) => Ok(opened.map(|(read, meta)| (ShardRead::of_replica(read), meta))),
            Err(error) => {
                tracing::warn!("a replica cannot be looked up: {error}");
                Err(CheckpointRefused::StoreFailed)
            }
        }
    }

    async fn open_file(&self, file: StoredFile) -> Option<FileRead> {
        let disk = self.disk.as_ref().expect("a shard has a file only where there is a disk");
        let opened = FileRead::open(disk, file).await;
        opened.inspect_err(|error| tracing::warn!("a shard cannot be opened: {error}")).ok()
    }

    /// The newest steps of a namespace that have all of their shards, newest first, at most `limit`;
    /// `None` if there is no such namespace.
    pub fn latest(&self, bucket: &BucketName, limit: usize) -> Option<Vec<u64>> {
        let mut table = self.table();
        let whole = table.namespace(bucket)?.whole_steps();
        let mut latest = Vec::new();
        for step in whole {
            if latest.len() == limit {
                break;
            }
            if self.has_objects(&mut table, bucket, step) {
                latest.push(step);
            }
        }
        Some(latest)
    }

    /// Whether the arena has every shard of a step that is not on the disk. Those that are gone, since their bytes were found
    /// corrupt, are forgotten.
    fn has_objects(&self, table: &mut Table, bucket: &BucketName, step: u64) -> bool {
        let objects = table.objects_of(bucket, step);
        let keys: Vec<&str> = objects.iter().map(|(_, key)| key.as_str()).collect();
        let there = self.shared.are_in_arena(bucket.as_str(), &keys);
        for ((place, key), _) in objects.iter().zip(&there).filter(|(_, there)| !**there) {
            table.forget(bucket, *place, key);
        }
        there.iter().all(|there| *there)
    }
}
