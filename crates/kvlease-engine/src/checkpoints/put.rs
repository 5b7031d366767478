//! Shards on their way in.

use std::sync::Arc;

use kvlease_types::{BucketName, ByteSize, Caller, Key, WriteRefused};
use tokio::time::{Instant, sleep};

use super::{
    disk::{FileWrite, Finished, StoredFile},
    handle::Checkpoints,
    name::{NamespaceShape, ShardName, ShardPlace},
    quota::{Charge, Medium},
    refused::CheckpointRefused,
    table::Shard,
};
use crate::{put::Put, requests::ROOM_PAUSE, write::Stored};

/// A shard that is being stored. Dropping it discards the bytes; the shard that was there before stays.
#[derive(Debug)]
pub struct ShardPut {
    bytes: Place,
    caller: Caller,
    bucket: BucketName,
    namespace: Taken,
    name: ShardName,
    held: Held,
}

/// Place of the bytes.
#[derive(Debug)]
enum Place {
    Object(Box<Put>),
    File(FileWrite),
}

/// Namespace that a shard was begun in.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Which of the namespaces that had this name one after the other.
    id: u64,
    shape: NamespaceShape,
}

/// Part of the quota that one shard has before it is sealed.
#[derive(Debug)]
struct Held {
    checkpoints: Arc<Checkpoints>,
    charge: Option<Charge>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(charge) = self.charge {
            self.checkpoints.table().quota.give_back(charge);
        }
    }
}

impl Held {
    fn new(checkpoints: &Arc<Checkpoints>, charge: Charge) -> Self {
        Self { checkpoints: Arc::clone(checkpoints), charge: Some(charge) }
    }

    fn medium(&self) -> Option<Medium> {
        self.charge.map(|charge| charge.medium)
    }
}

impl Checkpoints {
    /// Starts to store a shard of this length, in place of the one that is there.
    ///
    /// Where memory has no room the disk takes it, if there is one. Where neither has room, older steps
    /// of the namespace leave for it, though neither the newest whole one nor the one that is being
    /// stored. Where the arena has none, as leases hold it or it is not populated that far, and no disk
    /// has it, this waits until `until`.
    pub async fn put(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &BucketName,
        place: ShardPlace,
        meta: Option<Arc<str>>,
        len: ByteSize,
        until: Instant,
    ) -> Result<ShardPut, CheckpointRefused> {
        let mut media: &[Medium] = &Medium::ALL;
        loop {
            let (held, namespace, name) =
                self.hold(caller, (bucket, media), place, meta.clone(), len).await?;
            let begun = self.begin(caller, (bucket, &name.key(), media), len, held, until).await;
            match begun {
                Ok((bytes, held)) => {
                    let (caller, bucket) = (*caller, bucket.clone());
                    return Ok(ShardPut { bytes, caller, bucket, namespace, name, held });
                }
                // Older steps leave the arena for it, as without a disk.
                Err(CheckpointRefused::DiskFailed) if media.len() > 1 => media = &[Medium::Memory],
                Err(refused) => {
                    self.shared.counters.checkpoint_shards_refused.increment();
                    return Err(refused);
                }
            }
        }
    }

    /// Takes room where the quota has it, or on the disk if the arena has no room for it.
    async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        (bucket, key, media): (&BucketName, &Key, &[Medium]),
        len: ByteSize,
        mut held: Held,
        until: Instant,
    ) -> Result<(Place, Held), CheckpointRefused> {
        loop {
            use WriteRefused::{Fragmented, NotPopulated, OnlyLeased};
            if let Some(disk) = self.disk.as_ref().filter(|_| held.medium() == Some(Medium::Disk)) {
                return Ok((Place::File(FileWrite::begin(disk, len).await?), held));
            }
            let refused =
                match Put::begin(&self.shared, caller, bucket.clone(), key.clone(), Some(len)) {
                    Ok(put) => return Ok((Place::Object(Box::new(put)), held)),
                    Err(refused) => refused,
                };
            if media.contains(&Medium::Disk) {
                let on_disk = self.table().hold_on_disk(len);
                if let Some(charge) = on_disk {
                    held = Held::new(self, charge);
                    continue;
                }
            }
            match refused {
                OnlyLeased | Fragmented | NotPopulated if Instant::now() < until => {
                    sleep(ROOM_PAUSE).await;
                }
                refused => return Err(refused.into()),
            }
        }
    }

    /// Takes part of the quota, and gives the shard its name.
    async fn hold(
        self: &Arc<Self>,
        caller: &Caller,
        (bucket, media): (&BucketName, &[Medium]),
        place: ShardPlace,
        meta: Option<Arc<str>>,
        len: ByteSize,
    ) -> Result<(Held, Taken, ShardName), CheckpointRefused> {
        let (charge, taken, name, files) = {
            let mut table = self.table();
            if table.namespace(bucket).is_none() {
                return Err(CheckpointRefused::NoNamespace);
            }
            let Some(room) = table.hold(bucket, place.step, len, media) else {
                self.shared.counters.checkpoint_shards_refused.increment();
                return Err(self.no_room(&table));
            };
            self.shared.counters.checkpoint_steps_dropped.add(room.steps.len() as u64);
            let gone = room.steps.into_iter().flatten();
            let files = self.remove_objects(caller, bucket, gone);
            let namespace = table.namespace_mut(bucket).expect("it was there under the same lock");
            let name = namespace.next_name(place, meta);
            let taken = Taken { id: namespace.id, shape: namespace.shape };
            (room.charge, taken, name, files)
        };
        let held = Held::new(self, charge);
        self.remove_files(files).await;
        Ok((held, taken, name))
    }
}

impl ShardPut {
    /// Appends bytes, straight into the arena or on their way to the disk.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), CheckpointRefused> {
        match &mut self.bytes {
            Place::Object(put) => Ok(put.write(bytes)?),
            Place::File(file) => file.write(bytes).await,
        }
    }

    /// Publishes the shard in place of the one before. One on the disk is durable by then. Steps beyond
    /// those that the namespace retains leave.
    pub async fn seal(self) -> Result<Stored, CheckpointRefused> {
        let Self { bytes, caller, bucket, namespace, name, mut held } = self;
        let checkpoints = Arc::clone(&held.checkpoints);
        let bytes = match bytes {
            Place::Object(put) => Written::Object(put),
            Place::File(file) => Written::File(file.finish(&bucket, namespace.shape, &name).await?),
        };
        let (stored, files) = {
            let mut table = checkpoints.table();
            // It may have been removed meanwhile, and then made anew.
            if table.namespace(&bucket).is_none_or(|found| found.id != namespace.id) {
                return Err(CheckpointRefused::NoNamespace);
            }
            let (stored, file) = bytes.publish()?;
            if let Some(charge) = held.charge.take() {
                table.quota.give_back(charge);
            }
            let (place, key) = (name.place, name.key());
            let completed = table.complete(&bucket, place, Shard::new(name, stored.len, file));
            let counters = &checkpoints.shared.counters;
            counters.checkpoint_shards_stored.increment();
            counters.checkpoint_steps_dropped.add(completed.steps.len() as u64);
            let gone = completed.replaced.into_iter().chain(completed.steps.into_iter().flatten());
            let files = checkpoints.remove_objects(&caller, &bucket, gone);
            // Behind the removal of the one before, which may be the same shard of another namespace.
            checkpoints.replicate(&bucket, place, key);
            (stored, files)
        };
        checkpoints.remove_files(files).await;
        Ok(stored)
    }
}

/// Bytes that are all there.
enum Written {
    Object(Box<Put>),
    File(Finished),
}

impl Written {
    fn publish(self) -> Result<(Stored, Option<StoredFile>), WriteRefused> {
        match self {
            Self::Object(put) => Ok((put.seal()?, None)),
            Self::File(finished) => {
                let file = finished.keep();
                Ok((Stored { len: file.len, checksum: file.checksum }, Some(file)))
            }
        }
    }
}
