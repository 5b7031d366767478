//! Look-ups in tiers that do not know by themselves what they have.

use std::time::Instant;

use kvlease_tier::{Presence, Stat};
use tokio::time;

use super::stack::Floor;
use crate::shared::Shared;

/// Object found in a tier.
#[derive(Debug)]
pub(crate) struct FoundIn<'a> {
    pub(super) floor: &'a Floor,
    pub(super) stat: Stat,
}

/// Answer of the tiers about keys of a request.
#[derive(Default, Debug)]
pub(crate) struct Asked<'a> {
    /// Place of the first key.
    from: usize,
    found: Vec<Option<FoundIn<'a>>>,
}

impl<'a> Asked<'a> {
    /// Place behind the last key.
    pub(crate) fn until(&self) -> usize {
        self.from + self.found.len()
    }

    /// The object of the key at this place.
    pub(crate) fn found(&self, place: usize) -> Option<&FoundIn<'a>> {
        self.found.get(place.checked_sub(self.from)?)?.as_ref()
    }
}

impl Shared {
    /// Asks the tiers that have to be asked for the keys from the one at `place` on, each once for all of
    /// them, and not longer than until `until`.
    pub(crate) async fn ask_tiers(
        &self,
        bucket: &str,
        keys: &[&str],
        place: usize,
        until: time::Instant,
    ) -> Asked<'_> {
        let keys = &keys[place..];
        let mut found: Vec<Option<FoundIn<'_>>> = keys.iter().map(|_| None).collect();
        for floor in self.tiers.floors_of(bucket) {
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
        Asked { from: place, found }
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
        level.counters.looking_up.add_time(started.elapsed());
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
