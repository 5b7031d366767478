//! Look-ups in tiers that do not know by themselves what they have.

use std::{sync::Arc, time::Instant};

use kvlease_tier::{Presence, Stat};
use kvlease_types::Mode;
use tokio::time;

use super::stack::Floor;
use crate::shared::Shared;

/// Object found in a tier.
#[derive(Debug)]
pub(crate) struct FoundIn<'a> {
    floor: &'a Floor,
    stat: Stat,
}

impl FoundIn<'_> {
    /// The object, and the kind of the tier.
    pub(super) fn described(&self) -> (Stat, &'static str) {
        (self.stat, self.floor.level.tier().kind())
    }
}

impl Shared {
    /// Asks the tiers that have to be asked for these keys, each once for all of them, and not longer
    /// than until `until`. Returns what was found of each key, in order.
    pub(crate) async fn ask_tiers(
        &self,
        bucket: &str,
        keys: &[&str],
        until: time::Instant,
    ) -> Vec<Option<FoundIn<'_>>> {
        let mut found: Vec<Option<FoundIn<'_>>> = keys.iter().map(|_| None).collect();
        for floor in self.tiers.floors() {
            let is_open = |place: &usize| {
                // A key that is not asked for is empty.
                !keys[*place].is_empty()
                    && found[*place].is_none()
                    && floor.level.tier().presence(bucket, keys[*place]) == Presence::Unknown
            };
            let places: Vec<usize> = (0..keys.len()).filter(is_open).collect();
            if places.is_empty() || !floor.level.admits(false) {
                continue;
            }
            let asked: Vec<&str> = places.iter().map(|place| keys[*place]).collect();
            for (place, stat) in places.iter().zip(floor.find(bucket, &asked, until).await) {
                found[*place] = stat.map(|stat| FoundIn { floor, stat });
            }
        }
        found
    }

    /// Asks the tiers for absent objects, and starts to bring those that are found; in prefix mode up to
    /// the first that is not. Returns, in order, whether each was found.
    pub(crate) async fn ask_and_promote(
        self: &Arc<Self>,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        until: time::Instant,
    ) -> Vec<bool> {
        let found = self.ask_tiers(bucket, keys, until).await;
        let mut is_found: Vec<bool> = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(&found) {
            is_found.push(found.is_some());
            match found {
                Some(FoundIn { floor, stat }) if floor.level.admits(true) => {
                    self.start_promotion(floor, bucket, key, *stat);
                }
                None if mode == Mode::Prefix && !self.is_near(bucket, key) => break,
                _ => {}
            }
        }
        is_found.resize(keys.len(), false);
        is_found
    }

    /// Whether the object is in the arena, on its way into it, or known to be in a tier.
    fn is_near(&self, bucket: &str, key: &str) -> bool {
        let mut near = self.tiers.hold(bucket, key);
        self.state().catalog.contains_many(bucket, &[key], |found| near |= found);
        near
    }
}

impl Floor {
    /// Asks for keys. A late answer, or an error, finds none.
    async fn find(&self, bucket: &str, keys: &[&str], until: time::Instant) -> Vec<Option<Stat>> {
        let level = &self.level;
        let started = Instant::now();
        let find = level.tier().find(bucket, keys);
        // Only the tier's own limit counts as its failure: a client may give up earlier.
        let find = level.call(level.config.find_timeout, find);
        let found = time::timeout_at(until, find).await;
        level.counters.lookups.increment();
        level.counters.lookup_time.add_time(started.elapsed());
        match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(tier = level.tier().kind(), "a look-up failed: {error}");
                vec![None; keys.len()]
            }
            Err(_) => {
                level.counters.late_lookups.increment();
                vec![None; keys.len()]
            }
        }
    }
}
