//! Removal of objects from tiers.

use std::sync::Arc;

use kvlease_tier::Name;
use kvlease_types::{BucketName, Caller, Key, RemoveRefused};

use super::stack::Floor;
use crate::shared::Shared;

/// Outcome of the removal of one object, from the arena and all tiers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// Whether it was removed from the arena or from a tier.
    pub outcome: Result<(), RemoveRefused>,
    /// Kinds of the tiers that could not be asked, and which may have it still.
    pub left_in: Vec<&'static str>,
}

impl Shared {
    /// See [`Engine::remove_everywhere`](crate::Engine::remove_everywhere).
    pub(crate) async fn remove_everywhere(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
    ) -> Vec<Removed> {
        // Before the objects leave the arena: a load that begins later sees this, and the removal one that began before.
        let tiered = if self.tiers.is_empty() { &[] } else { keys };
        let names = tiered.iter().filter_map(|key| name(bucket, key)).collect();
        let _removing = self.tiers.being_removed.begin(names);
        let outcomes = self.remove(caller, bucket, keys);
        let removed = |outcome| Removed { outcome, left_in: Vec::new() };
        let mut removed: Vec<Removed> = outcomes.into_iter().map(removed).collect();
        // A pending object is refused: it may be on its way out of a tier. An empty key is hidden.
        let is_open = |place: &usize| {
            removed[*place].outcome != Err(RemoveRefused::Pending) && !keys[*place].is_empty()
        };
        let places: Vec<usize> = (0..keys.len()).filter(is_open).collect();
        for floor in self.tiers.floors() {
            let named: Vec<&str> = places.iter().map(|place| keys[*place]).collect();
            let outcomes = floor.remove_all(bucket, &named).await;
            for (place, outcome) in places.iter().zip(outcomes) {
                match outcome {
                    Some(true) => removed[*place].outcome = Ok(()),
                    Some(false) => {}
                    None => removed[*place].left_in.push(floor.level.tier().kind()),
                }
            }
        }
        removed
    }
}

impl Floor {
    /// Removes objects from the tier, with those that are on their way to it. Returns, in order,
    /// whether each was there; `None` if the tier could not be asked.
    async fn remove_all(&self, bucket: &str, keys: &[&str]) -> Vec<Option<bool>> {
        let names = keys.iter().map(|key| name(bucket, key));
        let under_way = names.map(|name| {
            let leftover = self.in_flight.remove(name.as_ref()?)?;
            Some((name?, leftover))
        });
        let under_way: Vec<_> = under_way.collect();
        let mut outcomes = self.remove(bucket, keys).await;
        // An object that was under way is removed again at its end.
        for (outcome, under_way) in outcomes.iter_mut().zip(under_way) {
            let Some((name, leftover)) = under_way else { continue };
            self.in_flight.ended(&name).await;
            if leftover.is_left() {
                *outcome = None;
            }
        }
        outcomes
    }

    /// Removes objects from the tier.
    pub(super) async fn remove(&self, bucket: &str, keys: &[&str]) -> Vec<Option<bool>> {
        let level = &self.level;
        let removal = level.tier().remove(bucket, keys);
        match level.call(level.config.timeout, removal).await {
            Ok(outcomes) => {
                let there = outcomes.iter().filter(|there| **there).count();
                level.counters.removals.add(there as u64);
                outcomes.into_iter().map(Some).collect()
            }
            Err(error) => {
                tracing::warn!(
                    tier = level.tier().kind(),
                    bucket,
                    keys = keys.len(),
                    "objects could not be removed from the tier, which may have them still: {error}"
                );
                level.counters.removal_failures.add(keys.len() as u64);
                vec![None; keys.len()]
            }
        }
    }
}

fn name(bucket: &str, key: &str) -> Option<Name> {
    Some(Name { bucket: BucketName::new(bucket).ok()?, key: Key::new(key).ok()? })
}
