//! Parts that all requests for checkpoints use.

use std::sync::{Arc, Mutex, MutexGuard};

use kvlease_types::{BucketName, ByteSize, Caller, Key};

use super::{
    refused::CheckpointRefused,
    table::{CheckpointStats, Table},
};
use crate::shared::Shared;

/// Checkpoints in the arena. A namespace is named by its retained bucket, see [`BucketName::retained`].
#[derive(Debug)]
pub struct Checkpoints {
    pub(super) shared: Arc<Shared>,
    /// The most that shards may take; zero for no checkpoints.
    pub(super) capacity: ByteSize,
    table: Mutex<Table>,
}

impl Checkpoints {
    pub(super) fn new(shared: &Arc<Shared>, table: Table) -> Self {
        let capacity = shared.config.checkpoint_max.min(shared.arena.capacity());
        Self { shared: Arc::clone(shared), capacity, table: Mutex::new(table) }
    }

    /// State of all checkpoints in numbers.
    pub fn stats(&self) -> CheckpointStats {
        self.table().stats(self.capacity)
    }

    /// Removes objects of a namespace that are in the table no more.
    pub(super) fn remove_objects(&self, caller: &Caller, bucket: &BucketName, keys: &[Key]) {
        let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
        // One that was found corrupt is gone already.
        self.shared.remove(caller, bucket.as_str(), &keys);
    }

    pub(super) fn no_room(&self, table: &Table) -> CheckpointRefused {
        let taken = ByteSize::new(table.taken());
        CheckpointRefused::NoRoom { capacity: self.capacity, taken }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("a panic ends the process, so no thread meets a poisoned lock")
    }
}
