//! Recovery: the objects of the incarnation before this one are taken over.

use std::time::{Duration, Instant};

use kvlease_arena::{Arena, LeaseFenceOrigin, ManifestOrigin, StoredManifest};
use kvlease_cache::{Catalog, Restoration, Restored};
use kvlease_types::{BucketName, ByteSize, Key};

use crate::{clock::now, readers::Readers};

/// Course of a start: what was found, and what was taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// State of the manifest that was found beside the arena.
    pub origin: ManifestOrigin,
    /// Whether it was left aside, as configured.
    pub cold: bool,
    /// Objects that were taken over, and those that were not.
    pub restored: Restored,
    /// Entries of the manifest that were not whole.
    pub broken: u64,
    /// How long that took.
    pub took: Duration,
}

/// A retained object that was taken over.
#[derive(Debug)]
pub(crate) struct RestoredName {
    pub(crate) bucket: BucketName,
    pub(crate) key: Key,
    pub(crate) len: ByteSize,
}

/// Fills an empty catalog with the objects in the arena, unless it is to start `cold`, and reports
/// them to the required readers. `started` is when the manifest began to be read. Space that clients
/// may still be reading under leases of an earlier incarnation is not free. Returns the retained objects
/// as well.
pub(crate) fn recover(
    arena: &Arena,
    stored: &StoredManifest,
    catalog: &mut Catalog,
    readers: &mut Readers,
    cold: bool,
    started: Instant,
) -> (Recovery, Vec<RestoredName>) {
    if let Some(shrunk_to) = arena.was_shrunk_to() {
        tracing::error!(
            %shrunk_to,
            capacity = %arena.capacity(),
            "the segment had been truncated: gave it its size back, the objects beyond are lost"
        );
    }
    let (fence, now) = (arena.lease_fence(), now());
    if let LeaseFenceOrigin::Unreadable { cause, until } = fence.origin() {
        tracing::warn!(
            ends_in_s = until.since(now).as_secs(),
            "the lease fence of an earlier daemon {cause}: its leases are unknown, so no space of \
             the segment is reused for as long as the longest of them can last; puts may fail until then"
        );
    }
    for (extent, until) in fence.pending(now) {
        catalog.quarantine(extent, until);
    }
    let mut restoration = Restoration::default();
    let broken = match cold {
        true => 0,
        false => stored.for_each(|object| {
            restoration.add(object, fence.leased_until(object.extents));
        }),
    };
    let mut retained = Vec::new();
    let restored = catalog.restore(restoration, arena.populated(), now, |change| {
        readers.apply_restored(change);
        if change.bucket.is_retained() {
            let (bucket, key) = (change.bucket.clone(), change.key.clone());
            retained.push(RestoredName { bucket, key, len: change.len });
        }
    });
    let recovery =
        Recovery { origin: stored.origin(), cold, restored, broken, took: started.elapsed() };
    recovery.log();
    (recovery, retained)
}

impl Recovery {
    /// Entries that were found, whole or broken, and not taken over.
    pub fn dropped(&self) -> u64 {
        self.broken + self.restored.impossible + self.restored.beyond_memory
    }

    fn log(&self) {
        let Self { origin, cold, restored, broken, took } = self;
        let Restored { objects, bytes, impossible, beyond_memory } = *restored;
        match origin {
            ManifestOrigin::Created => {}
            _ if *cold => tracing::info!("starting cold, as configured: the cache is empty"),
            ManifestOrigin::Kept => tracing::info!(
                objects,
                bytes,
                took_ms = took.as_millis() as u64,
                "starting warm: took over the objects of an earlier daemon"
            ),
            other => tracing::warn!("starting cold, the cache is empty: {other}"),
        }
        if *broken + impossible > 0 {
            tracing::warn!(
                broken,
                impossible,
                "left out objects whose entries contradict others or the arena"
            );
        }
        if beyond_memory > 0 {
            tracing::warn!(
                objects = beyond_memory,
                "left out the oldest objects: raise cache.catalog_memory_max to keep them"
            );
        }
    }
}
