//! The tiers of an engine, in the order in which they are asked.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use kvlease_cache::Change;
use kvlease_tier::{Name, Presence, Stat, Usage};
use kvlease_types::ByteSize;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
};

use super::{
    being_removed::BeingRemoved,
    buckets::BucketSet,
    config::TierConfig,
    counters::TierSnapshot,
    in_flight::InFlight,
    level::Level,
    observer::{TransferEnd, TransferObserver, TransferWay},
    queue::{Backlog, Demotion, DemotionQueue, QUEUE_MAX},
};
use crate::held_space::SpaceBudget;

/// Tiers, fastest first.
#[derive(Default, Debug)]
pub(crate) struct Tiers {
    floors: Vec<Floor>,
    /// Space of promotions that are under way.
    pub(crate) promoting: Arc<SpaceBudget>,
    /// Runtime of transfers; unset before the workers start.
    pub(crate) runtime: OnceLock<Handle>,
    /// Observer of transfers, if there is one.
    pub(crate) observer: OnceLock<Arc<dyn TransferObserver>>,
    /// Names of objects that are being removed from the arena and all tiers.
    pub(super) being_removed: BeingRemoved,
    /// Buckets of which no tier gets or gives an object.
    left_out: RwLock<BTreeSet<String>>,
    /// Whether there is any.
    leaves_out: AtomicBool,
}

/// Panics of threads that have the lock of the buckets that are left out: there are none.
const POISONED: &str = "no thread panics while holding it";

/// Bytes of the objects that are copied to one tier at a time, in MiB.
const COPYING_MIB: u32 = 64;

/// The most that one object counts among them: so four large ones are copied at a time.
const COPY_MIB_MAX: u32 = COPYING_MIB / 4;

/// A tier with its queue.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) level: Arc<Level>,
    pub(crate) queue: Arc<DemotionQueue>,
    pub(crate) in_flight: Arc<InFlight>,
    /// Room for copies that are under way, in MiB.
    pub(crate) copying: Arc<Semaphore>,
}

/// State of a tier in numbers.
#[derive(Clone, Debug)]
pub struct TierStats {
    /// Kind of the tier.
    pub kind: &'static str,
    /// Where it is, without credentials.
    pub place: String,
    /// Way in which its bytes move, where there are several.
    pub way: Option<String>,
    /// Whether other nodes use the same store.
    pub is_shared: bool,
    /// Buckets whose objects are copied to it as soon as they are stored.
    pub write_through: BucketSet,
    /// Contents, as far as they are known.
    pub usage: Usage,
    /// Counters since the start.
    pub counters: TierSnapshot,
    /// Objects that wait to be copied to it.
    pub queued: usize,
    /// Objects that are being copied to it, and do not wait any more.
    pub copying: usize,
    /// The most that may wait.
    pub queued_max: usize,
    /// Whether it is left alone since it fails.
    pub broken: bool,
    /// Bytes per second of its loads, once there were enough.
    pub load_rate: Option<u64>,
    /// Bytes per second below which loads are left out; `None` if they never are.
    pub load_rate_min: Option<u64>,
    /// Whether they are left out now.
    pub slow: bool,
}

impl Tiers {
    pub(crate) fn new(configs: Vec<TierConfig>) -> Self {
        let floor = |config| Floor {
            level: Arc::new(Level::new(config)),
            queue: Arc::default(),
            in_flight: Arc::default(),
            copying: Arc::new(Semaphore::new(COPYING_MIB as usize)),
        };
        Self { floors: configs.into_iter().map(floor).collect(), ..Self::default() }
    }

    /// Tells the observer, if there is one, that a transfer begins.
    pub(super) fn begins(&self, way: TransferWay) -> Option<TransferEnd> {
        self.observer.get()?.begins(way)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floors.is_empty()
    }

    pub(crate) fn floors(&self) -> &[Floor] {
        &self.floors
    }

    /// Leaves out these buckets, and no others: no tier gets or gives an object of theirs.
    pub(crate) fn leave_out(&self, buckets: impl Iterator<Item = String>) {
        let mut left_out = self.left_out.write().expect(POISONED);
        *left_out = buckets.collect();
        self.leaves_out.store(!left_out.is_empty(), Relaxed);
    }

    /// Whether a bucket is left out.
    pub(crate) fn is_left_out(&self, bucket: &str) -> bool {
        self.leaves_out.load(Relaxed) && self.left_out.read().expect(POISONED).contains(bucket)
    }

    /// The tiers that have objects of a bucket.
    pub(crate) fn floors_of(&self, bucket: &str) -> &[Floor] {
        if self.is_left_out(bucket) { &[] } else { &self.floors }
    }

    /// The tier of this kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<&Floor> {
        self.floors.iter().find(|floor| floor.level.tier().kind() == kind)
    }

    /// The tier that nodes share.
    pub(crate) fn shared(&self) -> Option<Arc<Level>> {
        let mut levels = self.floors.iter().map(|floor| &floor.level);
        levels.find(|level| level.config.is_shared).cloned()
    }

    /// Tiers that know by themselves that they have the object, with its length and checksum.
    pub(crate) fn holders(&self, bucket: &str, key: &str) -> impl Iterator<Item = (&Floor, Stat)> {
        self.floors_of(bucket).iter().filter_map(move |floor| {
            match floor.level.tier().presence(bucket, key) {
                Presence::Here(stat) => Some((floor, stat)),
                Presence::Unknown | Presence::Absent => None,
            }
        })
    }

    /// Whether a tier that works is known to have the object.
    pub(crate) fn hold(&self, bucket: &str, key: &str) -> bool {
        self.holders(bucket, key).any(|(floor, _)| !floor.level.is_broken())
    }

    /// Whether a tier does not know by itself whether it has the object.
    pub(crate) fn has_to_be_asked(&self, bucket: &str, key: &str) -> bool {
        let presence = |floor: &Floor| floor.level.tier().presence(bucket, key);
        self.floors_of(bucket).iter().any(|floor| presence(floor) == Presence::Unknown)
    }

    /// Queues an object that was stored, or taken over, for the tiers that are written through and are
    /// not known to have it.
    pub(crate) fn note_change(&self, change: &Change) {
        // Retained objects leave the arena by removal alone: no tier gets a copy.
        if !change.kind.publishes() || change.bucket.is_retained() {
            return;
        }
        let stat = Stat { len: change.len, checksum: change.checksum };
        let bucket = change.bucket.as_str();
        for floor in self.floors_of(bucket) {
            let level = &floor.level;
            if !level.config.write_through.contains(bucket)
                || level.tier().presence(bucket, change.key.as_str()) == Presence::Here(stat)
            {
                continue;
            }
            let name = Name { bucket: change.bucket.clone(), key: change.key.clone() };
            floor.demote(Demotion { name, generation: change.generation, victim: None });
        }
    }

    /// State of each tier.
    pub(crate) fn stats(&self) -> Vec<TierStats> {
        self.floors.iter().map(Floor::stats).collect()
    }
}

impl Floor {
    fn stats(&self) -> TierStats {
        let Backlog { queued, copying } = self.queue.backlog();
        TierStats {
            kind: self.level.tier().kind(),
            place: self.level.tier().place(),
            way: self.level.tier().way(),
            is_shared: self.level.config.is_shared,
            write_through: self.level.config.write_through.clone(),
            usage: self.level.tier().usage(),
            counters: self.level.counters.snapshot(),
            queued,
            copying,
            queued_max: QUEUE_MAX,
            broken: self.level.is_broken(),
            load_rate: self.level.rate.per_second(),
            load_rate_min: self.level.config.rate_min.map(ByteSize::bytes),
            slow: self.level.is_slow(),
        }
    }

    /// Waits for the turn of a copy of `len` bytes, which ends with the drop of the permit.
    pub(crate) async fn turn(&self, len: ByteSize) -> SemaphorePermit<'_> {
        let mib = len.bytes().div_ceil(ByteSize::mib(1).bytes());
        let weight = u32::try_from(mib).unwrap_or(u32::MAX).clamp(1, COPY_MIB_MAX);
        let turn = self.copying.acquire_many(weight).await;
        self.level.keep_pace(len).await;
        turn.expect("it is never closed")
    }

    /// Queues an object. Returns false, counted, if the queue is full.
    pub(crate) fn demote(&self, demotion: Demotion) -> bool {
        let queued = self.queue.push(demotion);
        if !queued {
            self.level.counters.queue_full.increment();
        }
        queued
    }
}
