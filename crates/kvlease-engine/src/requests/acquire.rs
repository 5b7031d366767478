//! Leasing objects, and waiting for those that are pending.

use std::{sync::Arc, time::Duration};

use kvlease_cache::Lease;
use kvlease_types::{Caller, Miss, Mode, Timestamp};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::part::PART;
use crate::{clock::now, grants::Grants, shared::Shared, tiers::Asked};

/// Time between two looks for room in the arena. Leases and quarantines end by the clock too, so no
/// event tells of all room.
pub(crate) const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// How often a request has an object loaded in vain, whatever the tier says of it.
const LOADS_MAX: usize = 2;

impl Shared {
    /// See [`Engine::acquire`](crate::Engine::acquire).
    pub(crate) fn acquire(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        ttl: Option<Duration>,
    ) -> Grants {
        let mut grants = Grants::new(self, caller, self.granted_ttl(ttl), keys.len());
        self.acquire_more(&mut grants, bucket, keys, mode, true);
        grants
    }

    /// See [`Engine::await_pending`](crate::Engine::await_pending).
    pub(crate) async fn await_pending(
        self: &Arc<Self>,
        grants: &mut Grants,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        until: Instant,
    ) {
        let started = Instant::now();
        let (mut index, mut asked) = (0, Asked::default());
        // Loads of one key that failed, and its place.
        let (mut failed, mut of_place) = (0, 0);
        while let Some(place) = grants.next_awaited(index) {
            // Past the deadline the rest is looked at once more, without a wait.
            index = place + 1;
            if grants.is_in_tiers(place) {
                if place >= asked.until() {
                    asked = self.ask_tiers(bucket, keys, place, until).await;
                }
                let comes = self.promote_rest(grants, bucket, keys, mode, place, &asked);
                let full = grants.outcomes[place].as_ref().err() == Some(&Miss::NoRoom);
                if comes || full && self.may_get_room(grants, until).await {
                    index = place;
                }
            } else if let Some(load_failed) = self.write_ends(bucket, keys[place], until).await {
                let before = if of_place == place { failed } else { 0 };
                (failed, of_place) = (before + usize::from(load_failed), place);
                self.acquire_again(grants, bucket, keys, mode, place, failed < LOADS_MAX);
                // A next write of the same key may have begun.
                index = place;
            }
        }
        self.counters.lease_waits.increment();
        self.counters.lease_wait.add_time(started.elapsed());
    }

    /// Leases a key again whose object may have come; in prefix mode also what follows it. `loads` says
    /// whether tiers may be asked for what is absent still.
    fn acquire_again(
        self: &Arc<Self>,
        grants: &mut Grants,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        place: usize,
        loads: bool,
    ) {
        match mode {
            // Only this key's outcome is replaced.
            Mode::Each => {
                let mut again = Grants::new(self, grants.caller(), grants.ttl(), 1);
                self.acquire_more(&mut again, bucket, &[keys[place]], mode, loads);
                std::mem::swap(&mut grants.outcomes[place], &mut again.outcomes[0]);
            }
            // The key is the last outcome: the prefix goes on from it.
            Mode::Prefix => {
                grants.truncate(place);
                self.acquire_more(grants, bucket, &keys[place..], mode, loads);
            }
        }
        if !loads
            && let Some(Err(miss)) = grants.outcomes.get_mut(place)
            && miss.is_absence()
        {
            // Not elsewhere: it was asked for there.
            *miss = Miss::Absent;
        }
    }

    /// Waits for a moment in which the arena may get room for an object of a tier. Returns false if the
    /// request is to be answered without it.
    ///
    /// Loads and copies under way end by themselves. Leases of others may wait for those of this request:
    /// so one that has some does not wait for them.
    async fn may_get_room(&self, grants: &Grants, until: Instant) -> bool {
        let now = Instant::now();
        let waits = || {
            let makes_room = || self.room.is_requested() || self.state().catalog.is_making_room();
            grants.are_none() || !self.tiers.promoting.is_free() || makes_room()
        };
        if now >= until || !waits() {
            return false;
        }
        sleep_until(until.min(now + ROOM_PAUSE)).await;
        true
    }

    /// Waits until the write under this name has ended, either way. Returns whether it was a load that
    /// failed, as far as that is known; `None` if it has not ended.
    async fn write_ends(&self, bucket: &str, key: &str, until: Instant) -> Option<bool> {
        let end = self.state().end_of_write(bucket, key);
        match end {
            Some(mut end) => {
                timeout_at(until, end.changed()).await.ok()?.ok();
                Some(*end.borrow())
            }
            // It was quicker: the object may have come, and left again.
            None => Some(false),
        }
    }

    /// Leases further keys, in prefix mode up to the first that cannot be leased. Those that a tier has
    /// are pending from then on.
    fn acquire_more(
        self: &Arc<Self>,
        grants: &mut Grants,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        loads: bool,
    ) {
        for (number, part) in keys.chunks(PART).enumerate() {
            let first = grants.outcomes.len();
            self.acquire_part(grants, bucket, part, mode);
            // The catalog is not locked here: bytes may have to be looked at.
            for place in first..grants.outcomes.len() {
                if let Ok(lease) = &grants.outcomes[place]
                    && !self.make_deliverable(lease)
                {
                    let id = lease.id;
                    grants.outcomes[place] = Err(Miss::Corrupt);
                    self.release(grants.caller(), &[id]);
                }
            }
            if loads && !self.tiers.is_empty() {
                self.promote_missing(grants, first, bucket, &keys[number * PART..], mode);
            }
            // A corrupt object ends the prefix as well: leases behind it are given back.
            if mode == Mode::Prefix
                && let Some(miss) = grants.outcomes[first..].iter().position(Result::is_err)
            {
                return grants.truncate(first + miss + 1);
            }
        }
    }

    /// Leases the keys of one part under one lock.
    fn acquire_part(&self, grants: &mut Grants, bucket: &str, keys: &[&str], mode: Mode) {
        let (caller, ttl, now) = (*grants.caller(), grants.ttl(), now());
        let mut refused = 0;
        let mut state = self.state();
        for outcome in state.catalog.acquire_many(&caller, bucket, keys, ttl, now) {
            let missed = outcome.is_err();
            refused += u64::from(matches!(outcome, Err(miss) if miss.is_limit()));
            grants.outcomes.push(outcome);
            if missed && mode == Mode::Prefix {
                break;
            }
        }
        drop(state);
        if refused > 0 {
            self.report_refused_leases(&caller, refused, now);
        }
    }

    /// Warns, now and then, that clients get no leases.
    fn report_refused_leases(&self, caller: &Caller, refused: u64, now: Timestamp) {
        if let Some(refused) = self.refused_leases.count(refused, now) {
            tracing::warn!(
                %caller,
                refused,
                "leases are refused: this client, its user, or all together, have as many as they \
                 may; see that clients release theirs, or raise lease.live_max or \
                 cache.catalog_memory_max"
            );
        }
    }

    /// Leases one object for the daemon's own read, which looks at the bytes on its way. The read ends
    /// with the daemon, so the fence keeps nothing from the next one; it notes the use.
    pub(crate) fn acquire_for_read(
        self: &Arc<Self>,
        caller: &Caller,
        bucket: &str,
        key: &str,
    ) -> Grants {
        let mut grants = Grants::new(self, caller, self.config.lease_ttl_max, 1);
        self.acquire_part(&mut grants, bucket, &[key], Mode::Each);
        if let Ok(lease) = grants.first() {
            self.arena.lease_fence().raise(&lease.extents, now());
        }
        grants
    }

    /// Whether the caller may learn of a lease.
    fn make_deliverable(&self, lease: &Lease) -> bool {
        let intact = self.verify_before_grant(lease);
        if intact {
            self.raise_fence(lease);
        }
        intact
    }

    /// Before a lease is used, the lease fence learns until when its extents must not be reused, even
    /// by another incarnation of the daemon.
    fn raise_fence(&self, lease: &Lease) {
        let until = lease.deadline.after(self.config.catalog.lease_grace);
        self.arena.lease_fence().raise(&lease.extents, until);
    }
}
