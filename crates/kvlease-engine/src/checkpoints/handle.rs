//! Parts that all requests for checkpoints use.

use std::sync::{Arc, Mutex, MutexGuard};

use kvlease_types::{BucketName, Caller, Key};
use tokio::task::spawn_blocking;

use super::{
    disk::{Disk, StoredFile},
    name::{NamespaceShape, ShardPlace},
    refused::CheckpointRefused,
    replicas::Replicas,
    table::{CheckpointStats, Gone, Table},
};
use crate::shared::Shared;

/// Checkpoints in the arena and on the disk. A namespace is named by its retained bucket, see
/// [`BucketName::retained`].
#[derive(Debug)]
pub struct Checkpoints {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Option<Arc<Disk>>,
    pub(super) replicas: Option<Replicas>,
    table: Mutex<Table>,
}

impl Checkpoints {
    pub(super) fn new(shared: &Arc<Shared>, disk: Option<Disk>, table: Table) -> Self {
        let is_replicated = shared.config.checkpoint_replicas;
        let replicas = shared.tiers.shared().filter(|_| is_replicated).map(Replicas::new);
        let disk = disk.map(Arc::new);
        Self { shared: Arc::clone(shared), disk, replicas, table: Mutex::new(table) }
    }

    /// State of all checkpoints in numbers.
    pub fn stats(&self) -> CheckpointStats {
        let replicas_waiting = self.replicas.as_ref().map_or(0, Replicas::waiting);
        CheckpointStats { replicas_waiting, ..self.table().stats() }
    }

    /// Has a shard copied to the shared store, if replicas are configured.
    pub(super) fn replicate(&self, bucket: &BucketName, place: ShardPlace, key: Key) {
        if let Some(replicas) = &self.replicas {
            replicas.copy(bucket, place, key);
        }
    }

    /// Has the record of a namespace stored there.
    pub(super) fn replicate_namespace(&self, bucket: &BucketName, shape: NamespaceShape) {
        if let Some(replicas) = &self.replicas {
            replicas.add_namespace(bucket, shape);
        }
    }

    /// Removes what is in the table of a namespace no more. The objects are gone once this returns; the
    /// files that it returns are the caller's to remove, after it has unlocked the table.
    #[must_use]
    pub(super) fn remove_objects(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        gone: impl IntoIterator<Item = Gone>,
    ) -> Vec<StoredFile> {
        let (mut keys, mut files) = (Vec::new(), Vec::new());
        for Gone { key, file } in gone {
            if let Some(replicas) = &self.replicas {
                replicas.remove(bucket, &key);
            }
            match file {
                Some(file) => files.push(file),
                None => keys.push(key),
            }
        }
        let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        // One that was found corrupt is gone already.
        self.shared.remove(caller, bucket.as_str(), &keys);
        files
    }

    /// Removes files, durably.
    pub(super) async fn remove_files(&self, files: Vec<StoredFile>) {
        if let Some(disk) = self.disk.clone().filter(|_| !files.is_empty()) {
            // It fails only when the runtime ends: the next start removes them.
            let _ = spawn_blocking(move || disk.remove(&files)).await;
        }
    }

    pub(super) fn no_room(&self, table: &Table) -> CheckpointRefused {
        let CheckpointStats { taken, capacity, disk_taken, disk_capacity, .. } = table.stats();
        CheckpointRefused::NoRoom { capacity, taken, disk_capacity, disk_taken }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("a panic ends the process, so no thread meets a poisoned lock")
    }
}
