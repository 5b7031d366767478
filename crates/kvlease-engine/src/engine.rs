//! The engine: one handle for everything that clients ask for.

mod overview;
mod policies;

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use kvlease_arena::{Arena, Generations, LinkStatus, PublishedIndex};
use kvlease_cache::{BucketInfo, CatalogStats, Change, EvictionKind, Gap, ListCursor, ObjectInfo};
use kvlease_sys::Identity;
use kvlease_tier::{Page, Stat};
use kvlease_types::{
    BucketName, ByteSize, Caller, Checksum, Epoch, Key, LeaseId, Miss, Mode, RemoveRefused,
    WriteRefused,
};
use tokio::time::Instant;

use crate::{
    checkpoints::{CheckpointStats, Checkpoints},
    config::EngineConfig,
    counters::CountersSnapshot,
    error::StartError,
    events::Subscription,
    grants::Grants,
    maintenance::Maintenance,
    policy::PolicyState,
    put::Put,
    read::Read,
    recovery::Recovery,
    requests::{NotStored, Renewed, ReserveLimits, StoreItem},
    reservation::Reservation,
    shared::Shared,
    tiers::{Removed, TierStats, TierWorkers, TransferObserver, Unanswered, Whereabouts},
    write::Stored,
};

/// The cache of one node: the catalog, the arena, and the threads that look after them.
///
/// Dropping the engine stops those threads and waits for them. Guards ([`Put`], [`Reservation`],
/// [`Grants`], [`Read`]) may outlive it.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    maintenance: Maintenance,
    tier_workers: TierWorkers,
    recovery: Recovery,
    checkpoints: Arc<Checkpoints>,
}

/// The state of the engine in numbers.
#[derive(Clone, Debug)]
pub struct EngineStats {
    /// State of the catalog.
    pub catalog: CatalogStats,
    /// Eviction policy in use.
    pub eviction: EvictionKind,
    /// Since when, and why.
    pub policy: PolicyState,
    /// Counters of the engine itself.
    pub counters: CountersSnapshot,
    /// Whether the kernel gives the arena huge pages.
    pub huge_pages: bool,
    /// Objects that this incarnation took over from the one before it.
    pub recovery: Recovery,
    /// Checkpoints of training jobs.
    pub checkpoints: CheckpointStats,
    /// Subscribers to events.
    pub subscribers: usize,
}

impl Engine {
    /// Takes the arena with the objects that an earlier incarnation left, makes its first part
    /// usable, and goes on with the rest in the background. Fails when not even the first part can
    /// be had.
    pub fn start(arena: Arena, config: EngineConfig, epoch: Epoch) -> Result<Self, StartError> {
        let (shared, recovery, retained) = Shared::open(arena, config, epoch)?;
        let checkpoints = Checkpoints::load(&shared, retained).map_err(StartError::Shards)?;
        let tier_workers = TierWorkers::start(&shared)?;
        checkpoints.start_replicas();
        let maintenance = Maintenance::start(&shared)?;
        Ok(Self { maintenance, tier_workers, shared, recovery, checkpoints })
    }

    /// Has an observer hear of the transfers between the arena and its tiers from now on. The first one stays.
    pub fn observe_transfers(&self, observer: Arc<dyn TransferObserver>) {
        // There is one at most, the daemon's.
        let _ = self.shared.tiers.observer.set(observer);
    }

    /// Leases objects of a bucket for `ttl`, or for the default time. Never waits: a pending
    /// object is a [`Miss::Pending`].
    pub fn acquire(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        ttl: Option<Duration>,
    ) -> Grants {
        let grants = self.shared.acquire(caller, bucket, keys, mode, ttl);
        if let Some(capture) = &self.shared.capture {
            capture.got(caller, bucket, keys, mode, grants.outcomes());
        }
        grants
    }

    /// Waits for the pending objects of an acquire until `until`, and leases those that are sealed
    /// meanwhile; in prefix mode also what follows them. `keys` and `mode` are those of the
    /// acquire.
    pub async fn await_pending(
        &self,
        grants: &mut Grants,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        until: Instant,
    ) {
        let Some(capture) = &self.shared.capture else {
            return self.shared.await_pending(grants, bucket, keys, mode, until).await;
        };
        let awaited = grants.places_awaited(keys.len());
        self.shared.await_pending(grants, bucket, keys, mode, until).await;
        capture.came(grants.caller(), bucket, keys, &awaited, grants.outcomes());
    }

    /// Ends leases of the caller. Returns, in order, how long each was held; `None` for one that
    /// was not live.
    pub fn release(&self, caller: &Caller, ids: &[LeaseId]) -> Vec<Option<Duration>> {
        self.shared.release(caller, ids)
    }

    /// Ends all leases of the caller, whose client has gone. Returns how long those were held that
    /// were live.
    pub fn release_all(&self, caller: &Caller) -> Vec<Duration> {
        self.shared.release_all(caller)
    }

    /// Takes note of reads without a lease, by the published index: `reads` of them, the latest of which
    /// were of the objects that are named by slot and generation. Returns, in order, which of the
    /// objects are still there.
    pub fn note_reads(&self, caller: &Caller, objects: &[(u32, u64)], reads: u64) -> Vec<bool> {
        self.shared.note_reads(caller, objects, reads)
    }

    /// Moves the deadlines of the caller's live leases to `ttl`, or to the default time, from now.
    pub fn renew(&self, caller: &Caller, ids: &[LeaseId], ttl: Option<Duration>) -> Renewed {
        self.shared.renew(caller, ids, ttl)
    }

    /// Whether each object is there, in order, without counting as a use of it; in prefix mode up
    /// to and with the first that is not.
    pub fn exists(&self, caller: &Caller, bucket: &str, keys: &[&str], mode: Mode) -> Vec<bool> {
        let found = self.shared.exists(caller, bucket, keys, mode);
        if let Some(capture) = &self.shared.capture
            && !self.has_to_ask(bucket, keys, &found)
        {
            capture.looked_up(caller, bucket, keys, mode, &found);
        }
        found
    }

    /// As [`exists`](Self::exists), and asks the tiers that do not know by themselves what they have,
    /// until `until`.
    pub async fn exists_or_ask(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        until: Instant,
    ) -> Vec<bool> {
        let found = self.shared.exists_or_ask(caller, bucket, keys, mode, until).await;
        if let Some(capture) = &self.shared.capture {
            capture.looked_up(caller, bucket, keys, mode, &found);
        }
        found
    }

    /// Whether [`exists_or_ask`](Self::exists_or_ask) may find more than [`exists`](Self::exists)
    /// `found`.
    pub fn has_to_ask(&self, bucket: &str, keys: &[&str], found: &[bool]) -> bool {
        self.shared.has_to_ask(bucket, keys, found)
    }

    /// Removes objects from the arena. Leases on them stay good until they end.
    pub fn remove(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
    ) -> Vec<Result<(), RemoveRefused>> {
        let outcomes = self.shared.remove(caller, bucket, keys);
        if let Some(capture) = &self.shared.capture {
            capture.removed(caller, bucket, keys, outcomes.iter().map(Result::is_ok));
        }
        outcomes
    }

    /// Removes objects from the arena and from all tiers, and waits for those that are on their way to
    /// a tier.
    pub async fn remove_everywhere(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
    ) -> Vec<Removed> {
        let removed = self.shared.remove_everywhere(caller, bucket, keys).await;
        if let Some(capture) = &self.shared.capture {
            let were_there = removed.iter().map(|removed| removed.outcome.is_ok());
            capture.removed(caller, bucket, keys, were_there);
        }
        removed
    }

    /// Whether there are tiers below the arena.
    pub fn has_tiers(&self) -> bool {
        !self.shared.tiers.is_empty()
    }

    /// State of each tier, fastest first.
    pub fn tiers(&self) -> Vec<TierStats> {
        self.shared.tiers.stats()
    }

    /// Length and checksum of an object that a tier has, with the kind of the tier. Tiers that have to
    /// be asked are, until `until`.
    pub async fn stat_in_tiers(
        &self,
        bucket: &str,
        key: &str,
        until: Instant,
    ) -> Option<(Stat, &'static str)> {
        self.shared.stat_in_tiers(bucket, key, until).await
    }

    /// Every place of an object. Tiers that do not know by themselves whether they have it are asked,
    /// until `until`.
    pub async fn stat_everywhere(&self, bucket: &str, key: &str, until: Instant) -> Whereabouts {
        self.shared.stat_everywhere(bucket, key, until).await
    }

    /// Kinds of the tiers, fastest first, and whether other nodes use the same store.
    pub fn tier_kinds(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let floors = self.shared.tiers.floors().iter();
        floors.map(|floor| (floor.level.tier().kind(), floor.level.config.is_shared))
    }

    /// Length and checksum of an object by each tier that knows by itself that it has it.
    pub fn known_in_tiers<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> impl Iterator<Item = (&'static str, Stat)> {
        let holders = self.shared.tiers.holders(bucket, key);
        holders.map(|(floor, stat)| (floor.level.tier().kind(), stat))
    }

    /// One page of what the tier of this kind has of a bucket, see [`Tier::list`], waited for until
    /// `until`; `None` if there is no such tier.
    ///
    /// [`Tier::list`]: kvlease_tier::Tier::list
    pub async fn list_tier(
        &self,
        kind: &str,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
        until: Instant,
    ) -> Option<Result<Page, Unanswered>> {
        self.shared.list_tier(kind, bucket, prefix, from, limit, until).await
    }

    /// Takes a client's report that an object's bytes did not match its checksum. The daemon looks
    /// at the bytes itself, and removes the object if it finds it corrupt. Without a generation the
    /// object is meant that has the name now. Returns false if there is no such object.
    pub fn report(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &str,
        generation: Option<u64>,
    ) -> bool {
        self.shared.report(caller, bucket, key, generation)
    }

    /// Starts to store an object whose bytes come through the daemon. `len` is its length if it is
    /// known beforehand.
    pub fn put(
        &self,
        caller: &Caller,
        bucket: BucketName,
        key: Key,
        len: Option<ByteSize>,
    ) -> Result<Put, WriteRefused> {
        Put::begin(&self.shared, caller, bucket, key, len)
    }

    /// Checkpoints of training jobs, in the same arena.
    pub fn checkpoints(&self) -> &Arc<Checkpoints> {
        &self.checkpoints
    }

    /// Takes space for objects of exact lengths, which the caller's client writes by itself.
    /// Refuses what is beyond the limits.
    pub fn reserve(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        items: Vec<(Key, ByteSize)>,
        limits: ReserveLimits,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        self.shared.reserve(caller, bucket, items, limits)
    }

    /// Takes space ahead of need, for objects of at most these lengths whose keys come with
    /// [`store`](Self::store). Nothing is evicted for it.
    pub fn prepare(
        &self,
        caller: &Caller,
        lens: impl ExactSizeIterator<Item = ByteSize>,
        limits: ReserveLimits,
    ) -> Vec<Result<Reservation, WriteRefused>> {
        self.shared.prepare(caller, lens, limits)
    }

    /// Publishes objects that were written into spare reservations.
    pub fn store(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        items: Vec<StoreItem>,
    ) -> Vec<Result<Stored, NotStored>> {
        self.shared.store_spares(caller, bucket, items)
    }

    /// Publishes objects with the checksums that the caller computed from the bytes it wrote. A
    /// reservation that is refused is discarded.
    pub fn commit(
        &self,
        caller: &Caller,
        items: Vec<(Reservation, Checksum)>,
    ) -> Vec<Result<Stored, WriteRefused>> {
        self.shared.commit(caller, items)
    }

    /// Discards reservations and gives their extents back.
    pub fn abort(&self, reservations: Vec<Reservation>) {
        self.shared.abort(reservations);
    }

    /// Starts to read an object out of the arena. A pending object is absent.
    pub fn read(&self, caller: &Caller, bucket: &str, key: &str) -> Result<Read, Miss> {
        let read = self.read_now(caller, bucket, key);
        // What a tier may have is asked for again, by `read_or_load`.
        let is_last = !(read.as_ref().is_err_and(|miss| miss.is_absence()) && self.has_tiers());
        if let Some(capture) = self.shared.capture.as_ref().filter(|_| is_last) {
            capture.read(caller, bucket, key, read.as_ref().map(Read::left));
        }
        read
    }

    fn read_now(&self, caller: &Caller, bucket: &str, key: &str) -> Result<Read, Miss> {
        let grants = self.shared.acquire_for_read(caller, bucket, key);
        Read::new(grants).map_err(|miss| if miss == Miss::Pending { Miss::Absent } else { miss })
    }

    /// As [`read`](Self::read), and waits until `until` for an object that a tier has.
    pub async fn read_or_load(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &str,
        until: Instant,
    ) -> Result<Read, Miss> {
        let mut read = self.read_now(caller, bucket, key);
        if read.as_ref().is_err_and(|miss| miss.is_absence()) && self.has_tiers() {
            let keys = [key];
            let mut grants = self.shared.acquire(caller, bucket, &keys, Mode::Each, None);
            self.shared.await_pending(&mut grants, bucket, &keys, Mode::Each, until).await;
            read = Read::new(grants);
        }
        if let Some(capture) = &self.shared.capture {
            capture.read(caller, bucket, key, read.as_ref().map(Read::left));
        }
        read
    }

    /// Description of an object; `None` if it is absent or pending.
    pub fn stat(&self, bucket: &str, key: &str) -> Option<ObjectInfo> {
        self.shared.state().catalog.stat(bucket, key)
    }

    /// Takes note of a look-up that was answered by [`stat`](Self::stat) or by a tier.
    pub fn looked_up(&self, caller: &Caller, bucket: &str, key: &str, found: bool) {
        if let Some(capture) = &self.shared.capture {
            capture.looked_up(caller, bucket, &[key], Mode::Each, &[found]);
        }
    }

    /// One page of a bucket's listing, and where the next one starts. The catalog is unlocked
    /// again and again on the way, so that a long listing does not hold requests up.
    pub fn list(
        &self,
        bucket: &str,
        prefix: &str,
        mut cursor: ListCursor,
        limit: usize,
    ) -> (Vec<ObjectInfo>, Option<ListCursor>) {
        let mut objects = Vec::new();
        while objects.len() < limit {
            let wanted = limit - objects.len();
            let (page, next) = self.shared.state().catalog.list(bucket, prefix, cursor, wanted);
            objects.extend(page);
            match next {
                Some(next) => cursor = next,
                None => return (objects, None),
            }
        }
        (objects, Some(cursor))
    }

    /// The changes of what is published, from sequence number `from` on: all that the engine still
    /// has. Answers to clients are never ahead of it.
    ///
    /// # Errors
    ///
    /// [`Gap`] when some of them are gone: the reader takes a snapshot and reads on, see
    /// [`ChangeFeed`](kvlease_cache::ChangeFeed).
    pub fn changes(&self, from: u64) -> Result<Vec<Change>, Gap> {
        self.shared.changes(from)
    }

    /// Subscribes to what is published and unpublished from now on. `None` if there are
    /// [`SUBSCRIBERS_MAX`](crate::SUBSCRIBERS_MAX) subscribers, or [`end_events`](Self::end_events) was
    /// called.
    pub fn subscribe(&self) -> Option<Subscription> {
        Subscription::new(&self.shared)
    }

    /// Ends all subscriptions, once each has read the events that there are.
    pub fn end_events(&self) {
        self.shared.events.close();
    }

    /// Totals of the first `limit` buckets whose names are behind `after`, by name.
    pub fn buckets(&self, after: &str, limit: usize) -> Vec<BucketInfo> {
        self.shared.buckets(after, limit)
    }

    /// Identity of the arena's file, which clients compare with what they map.
    pub fn arena_identity(&self) -> Identity {
        self.shared.arena.identity()
    }

    /// The arena as an open file of its own to be passed to a client, which can write with it only
    /// if it is `writable`.
    pub fn arena_descriptor(&self, writable: bool) -> io::Result<OwnedFd> {
        self.shared.arena.share(writable)
    }

    /// The table in which readers of other processes see the generation of every slot.
    pub fn generations(&self) -> &Generations {
        &self.shared.generations
    }

    /// Where the objects are, for readers of other processes that make no call.
    pub fn published_index(&self) -> &PublishedIndex {
        &self.shared.index
    }

    /// The word that tells such readers whether the arena is still this daemon's, as an open file to be
    /// passed to a client.
    ///
    /// # Errors
    ///
    /// The kernel's error, for example when `/proc` is not mounted.
    pub fn incarnation_descriptor(&self) -> io::Result<OwnedFd> {
        self.shared.arena.incarnation().share()
    }

    /// Checks the public name of the segment now. Returns whether clients can attach.
    pub fn is_attachable(&self) -> bool {
        matches!(self.shared.keep_linked(), Ok(LinkStatus::Intact | LinkStatus::Restored))
    }

    /// Whether the public name of the segment was another file's when it was looked at last, at most
    /// a tick ago: a client that attaches by name reads foreign bytes.
    pub fn is_name_taken(&self) -> bool {
        self.shared.is_name_taken()
    }

    /// Stops the threads in the background and waits for them.
    pub fn stop(&self) {
        self.maintenance.stop();
        self.tier_workers.stop();
        self.shared.lower_fence_if_idle();
    }
}
