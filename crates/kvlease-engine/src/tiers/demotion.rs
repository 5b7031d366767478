//! Demotion: copying objects from the arena to a tier.

use std::{sync::Arc, time::Instant};

use kvlease_cache::{ScrubCandidate, Victim};
use kvlease_tier::{Name, Object, Stat, Stored, TierError};
use tokio::select;

use super::{
    in_flight::UnderWay,
    observer::{Transfer, TransferOutcome, TransferWay},
    queue::Demotion,
    stack::Floor,
    transfer::{ArenaSource, InPlace},
};
use crate::{cursor::Cursor, shared::Shared};

impl Shared {
    /// Hands a victim over to the first tier that works, or gives it up at once: if that tier has it
    /// already, if there is none, and if the tier's queue is full. A slower tier that has it saves no copy: the
    /// faster one is asked first. Returns false if it was given up.
    pub(crate) fn hand_over(&self, victim: Victim) -> bool {
        let described = self.state().catalog.victim(&victim);
        // It was acquired, removed or evicted meanwhile.
        let Some(info) = described else { return false };
        let name = Name { bucket: info.bucket, key: info.key };
        let stat = Stat { len: info.len, checksum: info.checksum };
        let floors = self.tiers.floors_of(name.bucket.as_str());
        let has = |floor: &&Floor| floor.level.has(&name, stat);
        let queued = match floors.iter().find(|floor| has(floor) || floor.level.admits(false)) {
            Some(floor) if has(&floor) => {
                floor.level.counters.already_there.increment();
                false
            }
            Some(floor) => {
                let name = name.clone();
                floor.demote(Demotion { name, generation: info.generation, victim: Some(victim) })
            }
            None => false,
        };
        if !queued {
            let is_elsewhere = floors.iter().any(|floor| has(&floor));
            self.state().catalog.give_up(&victim, is_elsewhere);
        }
        queued
    }

    /// Copies one object of the queue to its tier, and gives it up if it is a victim.
    pub(super) async fn demote(self: &Arc<Self>, floor: &Floor, demotion: Demotion) {
        let Demotion { name, generation, victim } = demotion;
        let copied = self.copy_to(floor, &name, generation, victim.is_some()).await;
        if let Some(victim) = victim {
            self.state().catalog.give_up(&victim, copied);
        }
    }

    /// Copies an object to a tier, which has `admitted` it already or is asked. Returns whether the tier
    /// has it.
    async fn copy_to(
        self: &Arc<Self>,
        floor: &Floor,
        name: &Name,
        generation: u64,
        admitted: bool,
    ) -> bool {
        let Floor { level, in_flight, .. } = floor;
        let under_way = loop {
            match in_flight.begin(name) {
                Some(under_way) => break under_way,
                // Of an earlier object of that name.
                None => in_flight.ended(name).await,
            }
        };
        // After the name is under way: a removal either is seen here, or sees the name.
        let (bucket, key) = (name.bucket.as_str(), name.key.as_str());
        if self.tiers.is_left_out(bucket) {
            return false;
        }
        let find = || self.state().catalog.scrub_candidate(bucket, key, Some(generation));
        let Some(waiting) = find() else {
            level.counters.left_too_early.increment();
            return false;
        };
        let stat = Stat { len: waiting.len, checksum: waiting.checksum };
        if level.has(name, stat) {
            level.counters.already_there.increment();
            return true;
        }
        // A removal waits for the end of what is under way, and not for its turn.
        let _turn = select! {
            turn = floor.turn(stat.len) => Some(turn),
            () = under_way.removed() => None,
        };
        let Some(object) = find() else {
            level.counters.left_too_early.increment();
            return false;
        };
        if !admitted && !level.admits(false) {
            return false;
        }
        let stored = self.store(floor, name, stat, &object).await;
        self.forget_removed(floor, name, &under_way).await;
        stored
    }

    async fn store(
        self: &Arc<Self>,
        floor: &Floor,
        name: &Name,
        stat: Stat,
        object: &ScrubCandidate,
    ) -> bool {
        let Floor { level, queue, .. } = floor;
        let (started, end) = (Instant::now(), self.tiers.begins(TransferWay::Store));
        let others_wait = queue.backlog().queued > 0;
        let source = ArenaSource {
            shared: Arc::clone(self),
            name: name.clone(),
            generation: object.generation,
            verified: object.verified,
            extents: object.extents.clone(),
            cursor: Cursor::default(),
            in_place: InPlace::of_source(self, level, others_wait),
        };
        let stored = Object { name: name.clone(), stat };
        let storing = level.tier().store(&stored, Box::new(source));
        let outcome = level.call(level.config.timeout, storing).await;
        let (counters, took) = (&level.counters, started.elapsed());
        counters.writing.add_time(took);
        if let Some(end) = end {
            let (tier, bucket) = (level.tier().kind(), name.bucket.as_str());
            let outcome = TransferOutcome::of_store(&outcome);
            end(&Transfer { tier, bucket, len: stat.len, took, outcome });
        }
        match outcome {
            Ok(Stored::Written(len)) => {
                counters.stores.increment();
                counters.stored.add(len.bytes());
                true
            }
            Ok(Stored::Present) => {
                counters.already_there.increment();
                true
            }
            Err(TierError::SourceChanged(_)) => {
                // It was evicted meanwhile; or, if it is still there, it is corrupt.
                counters.left_too_early.increment();
                let (slot, generation) = (object.slot, object.generation);
                self.record_verification(slot, generation, false, "on its way to a tier");
                false
            }
            Err(error) => {
                tracing::debug!(
                    tier = level.tier().kind(), bucket = %name.bucket, key = %name.key,
                    "an object was not copied to the tier: {error}"
                );
                false
            }
        }
    }

    /// Removes an object from the tier again that was removed while it was on its way there.
    async fn forget_removed(&self, floor: &Floor, name: &Name, under_way: &UnderWay) {
        if under_way.is_removed() {
            let removed = floor.remove(name.bucket.as_str(), &[name.key.as_str()]).await;
            if removed == [None] {
                under_way.note_left();
            }
        }
    }
}
