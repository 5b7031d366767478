//! Required readers of the change log: the table of generations and the published index, for readers
//! of other processes, the manifest, for the daemon's next start, and the queues of tiers that are
//! written through.

use std::sync::Arc;

use kvlease_arena::{Generations, Manifest, PublishedIndex};
use kvlease_cache::{CHANGES_MAX, Change, ChangeFeed, ChangeKind};

use crate::{
    counters::Counters,
    tiers::{BucketSet, Tiers},
};

/// Changes that the feed keeps for readers that may fall behind, while there are no subscribers.
pub(crate) const FEED_CHANGES: usize = 1024;

/// Applies changes in the order of the log. Behind a mutex of its own, so that neither a store into
/// shared memory nor a fault there holds up the catalog.
#[derive(Debug)]
pub(crate) struct Readers {
    generations: Arc<Generations>,
    index: Arc<PublishedIndex>,
    /// Buckets whose objects are not in the index.
    index_left_out: BucketSet,
    manifest: Manifest,
    counters: Arc<Counters>,
    tiers: Arc<Tiers>,
    /// Changes that were taken from the catalog. Kept, so that no drain needs memory of its own.
    pub(crate) batch: Vec<Change>,
    /// Changes that were applied, for readers that may fall behind.
    pub(crate) feed: ChangeFeed,
}

impl Readers {
    pub(crate) fn new(
        generations: Arc<Generations>,
        (index, index_left_out): (Arc<PublishedIndex>, BucketSet),
        manifest: Manifest,
        counters: Arc<Counters>,
        tiers: Arc<Tiers>,
    ) -> Self {
        let batch = Vec::with_capacity(CHANGES_MAX);
        let feed = ChangeFeed::new(FEED_CHANGES, 1);
        Self { generations, index, index_left_out, manifest, counters, tiers, batch, feed }
    }

    /// Applies the changes of the batch, and returns the number of the last one, if there is one.
    pub(crate) fn apply_batch(&mut self) -> Option<u64> {
        let mut batch = std::mem::take(&mut self.batch);
        let last = batch.last().map(|change| change.sequence);
        batch.iter().for_each(|change| self.apply(change));
        self.feed.append(batch.drain(..));
        self.batch = batch;
        last
    }

    /// Applies a change that restoring reports, before there is a log.
    pub(crate) fn apply_restored(&mut self, change: &Change) {
        self.apply(change);
        self.feed.append([change.clone()]);
    }

    /// Applies one change. Of a departure the index goes first and the generation last: a reader finds
    /// nothing without its generation, and when that is cleared, the next start does not find the object
    /// either.
    pub(crate) fn apply(&mut self, change: &Change) {
        let (slot, kind) = (change.slot, change.kind);
        if kind.publishes() {
            self.generations.set(slot, change.generation);
            if !self.manifest.insert(slot, &change.object()) {
                self.counters.objects_unrecorded.increment();
            }
            let is_indexed = !self.index_left_out.contains(change.bucket.as_str());
            if is_indexed
                && !self.index.publish(slot, &change.object(), kind != ChangeKind::Restored)
            {
                self.counters.objects_unpublished.increment();
            }
        }
        if kind == ChangeKind::Verified {
            self.index.note_verified(slot, &change.object());
        }
        if kind.unpublishes() {
            self.index.withdraw(slot);
        }
        self.tiers.note_change(change);
        if kind.unpublishes() {
            self.manifest.delete(slot);
        }
        if change.freed {
            self.generations.clear(slot);
        }
    }
}
