//! Task that copies shards to the store, and removes what has left.

use std::{future::poll_fn, mem, sync::Arc, time::Duration};

use kvlease_tier::TierError;
use kvlease_types::{BucketName, ByteSize, Caller, Key};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        handle::Checkpoints,
        name::{NamespaceShape, Record, ShardName, ShardPlace},
        read::ShardRead,
    },
    queue::Job,
    record::{PART_LEN, ReplicaRecord, part_key, parts_prefix, record_key},
};

/// Time before a job that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// How long a copy waits for a lease.
const LEASE_WAIT: Duration = Duration::from_secs(20);

impl Checkpoints {
    /// Starts to keep replicas, if they are configured. Shards that are there already are copied where
    /// the store has none.
    pub(crate) fn start_replicas(self: &Arc<Self>) {
        let Some(mut inbox) = self.replicas.as_ref().and_then(|replicas| replicas.inbox()) else {
            return;
        };
        self.table().for_each_namespace(|bucket, shape| self.replicate_namespace(bucket, shape));
        self.table()
            .for_each_local(|bucket, place, key| self.replicate(bucket, place, key.clone()));
        let runtime =
            self.shared.tiers.runtime.get().expect("the workers of the tiers have started");
        let checkpoints = Arc::clone(self);
        runtime.spawn(async move {
            while let Some(job) = inbox.recv().await {
                checkpoints.carry_out(&job).await;
            }
        });
    }

    /// Tries a job until it ends. Those behind it wait: a removal must not overtake a copy.
    async fn carry_out(self: &Arc<Self>, job: &Job) {
        let Some(replicas) = &self.replicas else { return };
        loop {
            let outcome = match job {
                Job::Namespace(bucket, shape) => self.store_namespace(bucket, *shape).await,
                Job::NoNamespace(bucket, shape) => self.forget_namespace(bucket, *shape).await,
                Job::Copy(bucket, place, key) => self.copy(bucket, *place, key).await,
                Job::Remove(bucket, name) => self.remove_replica(bucket, name).await,
            };
            match outcome {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!("a replica waits for the shared store: {error}");
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
        replicas.done(job);
    }

    async fn store_namespace(
        &self,
        bucket: &BucketName,
        shape: NamespaceShape,
    ) -> Result<(), TierError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        // It may have been removed meanwhile.
        if self.shape(bucket) != Some(shape) {
            return Ok(());
        }
        let key = Record::Namespace(shape).key();
        replicas.remote.put(bucket, key, b"kvlease namespace".to_vec()).await
    }

    async fn forget_namespace(
        &self,
        bucket: &BucketName,
        shape: NamespaceShape,
    ) -> Result<(), TierError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        // One that was made again stores its record behind this job.
        if self.shape(bucket) == Some(shape) {
            return Ok(());
        }
        replicas.remote.remove(bucket, &[Record::Namespace(shape).key()]).await
    }

    async fn copy(
        self: &Arc<Self>,
        bucket: &BucketName,
        place: ShardPlace,
        key: &Key,
    ) -> Result<(), TierError> {
        let (Some(replicas), Some(Record::Shard(name))) =
            (&self.replicas, Record::parse(key.as_str()))
        else {
            return Ok(());
        };
        let is_there = || self.table().shard(bucket, place).is_some_and(|shard| shard.has_key(key));
        let record = record_key(&name);
        if !is_there() || replicas.remote.has(bucket, &record).await? {
            return Ok(());
        }
        let until = Instant::now() + LEASE_WAIT;
        let (read, meta) = match self.read(&Caller::DAEMON, bucket, place, until).await {
            Ok(read) => read,
            Err(refused) if !is_there() => {
                tracing::debug!("a shard left before it was copied: {refused}");
                return Ok(());
            }
            Err(refused) => return Err(TierError::Unavailable(refused.into())),
        };
        let described = ReplicaRecord {
            len: ByteSize::new(read.left()),
            checksum: read.checksum(),
            part_len: PART_LEN,
            meta,
        };
        self.copy_parts(bucket, &name, read).await?;
        // One that was rewritten between the look and the read has other bytes than its record says.
        if is_there() {
            replicas.remote.put(bucket, record, described.encode()).await?;
            self.shared.counters.checkpoint_replicas_stored.increment();
        }
        Ok(())
    }

    async fn copy_parts(
        &self,
        bucket: &BucketName,
        name: &ShardName,
        mut read: ShardRead,
    ) -> Result<(), TierError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let (mut part, mut number) = (Vec::new(), 0);
        loop {
            let piece = poll_fn(|context| read.poll_piece(context)).await;
            let piece = piece.map_err(|error| TierError::Unavailable(error.into()))?;
            let is_last = piece.is_none();
            part.extend_from_slice(&piece.unwrap_or_default());
            if part.len() as u64 >= PART_LEN || (is_last && !part.is_empty()) {
                let rest = part.split_off(part.len().min(PART_LEN as usize));
                let whole = mem::replace(&mut part, rest);
                replicas.remote.put(bucket, part_key(name, number), whole).await?;
                number += 1;
            }
            if is_last && part.is_empty() {
                return Ok(());
            }
        }
    }

    /// The record first: without it the parts are no replica.
    async fn remove_replica(&self, bucket: &BucketName, name: &ShardName) -> Result<(), TierError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        replicas.remote.remove(bucket, &[record_key(name)]).await?;
        let parts = replicas.remote.keys(bucket, &parts_prefix(name)).await?;
        replicas.remote.remove(bucket, &parts).await
    }
}
