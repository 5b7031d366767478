//! Promotion: bringing objects back into the arena.

use std::{sync::Arc, time::Instant};

use kvlease_tier::{Destination, Loaded, Name, Stat};
use kvlease_types::{BucketName, ByteSize, Caller, Key, Miss, Mode, WriteRefused};

use super::{
    level::Level,
    lookup::{Asked, FoundIn},
    observer::{Transfer, TransferEnd, TransferOutcome, TransferWay},
    stack::Floor,
    transfer::{ArenaDestination, InPlace},
};
use crate::{
    clock::now, cursor::Cursor, grants::Grants, held_space::HeldSpace, shared::Shared, write::Write,
};

/// Part of the arena that promotions under way may take.
const PROMOTING_PART: u64 = 4;

/// The most objects of one request that are brought ahead of the one that its reader waits for.
const AHEAD_MAX: usize = 1024;

/// The shortest objects whose loads count for the rate of a tier. Shorter ones take as long, whatever
/// they bring.
const MEASURED_LEN_MIN: ByteSize = ByteSize::kib(256);

impl Shared {
    /// Starts to bring absent objects from the tiers that have them, from outcome `first` on, whose key
    /// is the first of `keys`. In prefix mode also those that follow the first absent one.
    pub(crate) fn promote_missing(
        self: &Arc<Self>,
        grants: &mut Grants,
        first: usize,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
    ) {
        for place in first..grants.outcomes.len() {
            let Err(miss) = grants.outcomes[place] else { continue };
            if !miss.is_absence() {
                continue;
            }
            let outcome = self.promote(bucket, keys[place - first], miss);
            grants.outcomes[place] = Err(outcome);
            if mode == Mode::Prefix {
                if outcome == Miss::Pending && place >= grants.promoted_to {
                    let next = &keys[place - first + 1..];
                    grants.promoted_to = place + 1 + self.promote_ahead(bucket, next);
                }
                return;
            }
        }
    }

    /// Starts to bring the objects of a request that are elsewhere, from the key at `place` on, as far as
    /// there is room. Returns whether that key's object is pending now.
    pub(crate) fn promote_rest(
        self: &Arc<Self>,
        grants: &mut Grants,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        place: usize,
        asked: &Asked<'_>,
    ) -> bool {
        for (index, key) in keys.iter().enumerate().skip(place) {
            if mode == Mode::Each && !grants.is_in_tiers(index) {
                continue;
            }
            let before = grants.outcomes.get(index).and_then(|outcome| outcome.as_ref().err());
            let again = before == Some(&Miss::NoRoom);
            let found = match asked.found(index) {
                Some(found) => Some(self.promote_found(found, bucket, key, again)),
                None => self.promote_known(bucket, key, again),
            };
            let outcome = found.unwrap_or(Miss::Absent);
            // In prefix mode the key at `place` has the last outcome.
            if let Some(open) = grants.outcomes.get_mut(index) {
                *open = Err(outcome);
            }
            let goes_on = outcome == Miss::Pending
                || found.is_none() && (mode == Mode::Each || self.is_in_arena(bucket, key));
            if !goes_on {
                break;
            }
        }
        matches!(grants.outcomes[place], Err(Miss::Pending))
    }

    /// Starts to bring an absent object from a tier that is known to have it. Returns the outcome for
    /// its reader: pending while it comes, [`Miss::NoRoom`] if the arena has none for it,
    /// [`Miss::Elsewhere`] if a tier has to be asked first, else the `miss` that it was.
    fn promote(self: &Arc<Self>, bucket: &str, key: &str, miss: Miss) -> Miss {
        let unknown = || self.tiers.has_to_be_asked(bucket, key);
        self.promote_known(bucket, key, false).unwrap_or_else(|| match unknown() {
            true => Miss::Elsewhere,
            false => miss,
        })
    }

    /// The same for a tier that need not be asked; `None` if no such tier has the object. `again` if
    /// the request looked for room before.
    fn promote_known(self: &Arc<Self>, bucket: &str, key: &str, again: bool) -> Option<Miss> {
        let mut holders = self.tiers.holders(bucket, key);
        let (floor, stat) = holders.find(|(floor, _)| floor.level.admits(true))?;
        Some(self.start_promotion(floor, bucket, key, stat, again))
    }

    /// The same for an object that a tier was asked for.
    fn promote_found(
        self: &Arc<Self>,
        found: &FoundIn<'_>,
        bucket: &str,
        key: &str,
        again: bool,
    ) -> Miss {
        match found.floor.level.admits(true) {
            true => self.start_promotion(found.floor, bucket, key, found.stat, again),
            false => Miss::Absent,
        }
    }

    /// Starts to bring what follows an absent object in a prefix, so that the objects come side by side:
    /// up to the first that is neither in the arena nor known to be in a tier. Returns how many that are.
    fn promote_ahead(self: &Arc<Self>, bucket: &str, keys: &[&str]) -> usize {
        let keys = &keys[..keys.len().min(AHEAD_MAX)];
        let mut there = Vec::with_capacity(keys.len());
        self.state().catalog.contains_many(bucket, keys, |found| there.push(found));
        let comes = |(key, there): (&&str, bool)| {
            there || self.promote_known(bucket, key, false) == Some(Miss::Pending)
        };
        keys.iter().zip(there).take_while(|pair| comes((pair.0, pair.1))).count()
    }

    fn is_in_arena(&self, bucket: &str, key: &str) -> bool {
        let mut there = false;
        self.state().catalog.contains_many(bucket, &[key], |found| there = found);
        there
    }

    /// Takes space for an object of a tier and starts to load it. The object is pending from then on,
    /// so there is one load of it for all readers.
    fn start_promotion(
        self: &Arc<Self>,
        floor: &Floor,
        bucket: &str,
        key: &str,
        stat: Stat,
        again: bool,
    ) -> Miss {
        let (Ok(bucket), Ok(key)) = (BucketName::new(bucket), Key::new(key)) else {
            return Miss::Absent;
        };
        let name = Name { bucket, key };
        if floor.in_flight.is_removed(&name) {
            return Miss::Absent;
        }
        let no_room = || {
            if !again {
                floor.level.counters.no_room.increment();
            }
            Miss::NoRoom
        };
        let Some(runtime) = self.tiers.runtime.get() else { return Miss::Elsewhere };
        let mut held = HeldSpace::none(&self.tiers.promoting);
        if !self.take_part(&mut held, stat.len) {
            return no_room();
        }
        let names = (name.bucket.clone(), name.key.clone());
        let lens = (stat.len, stat.len);
        let (mut state, now) = (self.state(), now());
        // With the lock of the catalog: a removal finds the object pending, or is found here.
        if self.tiers.being_removed.has(&name) {
            return Miss::Absent;
        }
        if state.waits_for_copies(&name.bucket, stat.len, self.config.copies_wait_max, now) {
            drop(state);
            self.room.request();
            return no_room();
        }
        let begun = Write::begin(self, &mut state, &Caller::DAEMON, names, lens, now);
        drop(state);
        match begun {
            Ok((write, extents)) => {
                let cursor = Cursor::default();
                let in_place = InPlace::of_destination(self, &floor.level);
                let destination =
                    ArenaDestination { write, extents, cursor, stat, in_place, _held: held };
                let end = self.tiers.begins(TransferWay::Load);
                runtime.spawn(load(Arc::clone(&floor.level), name, stat, destination, end));
                Miss::Pending
            }
            // Another promotion or a client was quicker.
            Err(WriteRefused::Exists | WriteRefused::Pending) => Miss::Pending,
            // It never fits. No one waits for that.
            Err(WriteRefused::TooLarge { .. } | WriteRefused::BeyondCapacity { .. }) => {
                no_room();
                Miss::Absent
            }
            Err(_) => no_room(),
        }
    }

    /// Takes a part of the space of all promotions. One alone may have all of the arena.
    fn take_part(&self, held: &mut HeldSpace, len: ByteSize) -> bool {
        if self.tiers.promoting.is_free() {
            held.take(len.bytes());
            return true;
        }
        held.try_take(len.bytes(), ByteSize::new(self.arena.capacity().bytes() / PROMOTING_PART))
    }
}

/// Loads an object into its place. Whatever goes wrong, the destination is dropped: its readers wake
/// and find a miss.
async fn load(
    level: Arc<Level>,
    name: Name,
    stat: Stat,
    destination: ArenaDestination,
    end: Option<TransferEnd>,
) {
    let started = Instant::now();
    let measured = stat.len >= MEASURED_LEN_MIN;
    if measured {
        level.rate.begin(started);
    }
    let destination: Box<dyn Destination> = Box::new(destination);
    let loading = level.tier().load(&name, stat, destination);
    let outcome = level.call(level.config.timeout, loading).await;
    let loaded = if matches!(outcome, Ok(Loaded::Complete)) { stat.len.bytes() } else { 0 };
    if measured {
        level.rate.end(loaded, Instant::now());
    }
    let (counters, took) = (&level.counters, started.elapsed());
    counters.loading.add_time(took);
    if let Some(end) = end {
        let (tier, bucket) = (level.tier().kind(), name.bucket.as_str());
        let outcome = TransferOutcome::of_load(&outcome);
        end(&Transfer { tier, bucket, len: stat.len, took, outcome });
    }
    match outcome {
        Ok(Loaded::Complete) => {
            counters.hits.increment();
            counters.loaded.add(loaded);
        }
        Ok(Loaded::Absent) => counters.gone.increment(),
        Err(error) => tracing::warn!(
            tier = level.tier().kind(), bucket = %name.bucket, key = %name.key,
            "an object could not be loaded: its readers get a miss, {error}"
        ),
    }
}
