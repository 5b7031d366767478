//! Copies and removals that are to be made, in order.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use kvlease_types::{BucketName, Key};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    super::name::{NamespaceShape, Record, ShardName, ShardPlace},
    record::record_key,
    remote::Remote,
};
use crate::tiers::Level;

/// Work of the task that keeps replicas.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Store the record of a namespace.
    Namespace(BucketName, NamespaceShape),
    /// Remove the record of a namespace, unless there is a namespace of that shape again.
    NoNamespace(BucketName, NamespaceShape),
    /// Copy the shard that has this key in the table.
    Copy(BucketName, ShardPlace, Key),
    /// Remove a replica, if there is one.
    Remove(BucketName, ShardName),
}

/// Replicas of the checkpoints of this node. The queue has at most some entries for each shard.
#[derive(Debug)]
pub(in super::super) struct Replicas {
    pub(super) remote: Remote,
    jobs: UnboundedSender<Job>,
    inbox: Mutex<Option<UnboundedReceiver<Job>>>,
    waiting: AtomicU64,
    /// Records that are to be removed, and how often: a look at the store must not find them again.
    removing: Mutex<HashMap<(BucketName, Key), u32>>,
}

impl Replicas {
    pub(in super::super) fn new(level: Arc<Level>) -> Self {
        let remote = Remote::new(level);
        let (jobs, inbox) = unbounded_channel();
        Self {
            remote,
            jobs,
            inbox: Mutex::new(Some(inbox)),
            waiting: AtomicU64::new(0),
            removing: Mutex::default(),
        }
    }

    /// Copies and removals that have not ended.
    pub(in super::super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(in super::super) fn add_namespace(&self, bucket: &BucketName, shape: NamespaceShape) {
        self.send(Job::Namespace(bucket.clone(), shape));
    }

    /// Has the record of a namespace removed that is gone. It may be under way to the store while it is removed
    /// there.
    pub(in super::super) fn forget_namespace(&self, bucket: &BucketName, shape: NamespaceShape) {
        self.send(Job::NoNamespace(bucket.clone(), shape));
    }

    pub(in super::super) fn copy(&self, bucket: &BucketName, place: ShardPlace, key: Key) {
        self.send(Job::Copy(bucket.clone(), place, key));
    }

    /// Removes the replica of the shard that had this key.
    pub(in super::super) fn remove(&self, bucket: &BucketName, key: &Key) {
        let Some(Record::Shard(name)) = Record::parse(key.as_str()) else { return };
        *self.removing().entry((bucket.clone(), record_key(&name))).or_default() += 1;
        self.send(Job::Remove(bucket.clone(), name));
    }

    /// Whether the replica is to be removed.
    pub(super) fn is_removing(&self, bucket: &BucketName, name: &ShardName) -> bool {
        self.removing().contains_key(&(bucket.clone(), record_key(name)))
    }

    /// Ends a job.
    pub(super) fn done(&self, job: &Job) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Job::Remove(bucket, name) = job else { return };
        let key = (bucket.clone(), record_key(name));
        let mut removing = self.removing();
        if let Some(count) = removing.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                removing.remove(&key);
            }
        }
    }

    /// The queue's end, once.
    pub(super) fn inbox(&self) -> Option<UnboundedReceiver<Job>> {
        self.inbox.lock().expect("no thread panics while holding it").take()
    }

    fn send(&self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The receiver is gone only when the daemon ends: the next start looks for what is missing.
        let _ = self.jobs.send(job);
    }

    fn removing(&self) -> MutexGuard<'_, HashMap<(BucketName, Key), u32>> {
        self.removing.lock().expect("no thread panics while holding it")
    }
}
