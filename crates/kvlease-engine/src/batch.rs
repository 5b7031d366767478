//! Many keys or leases in one call, for clients that ask for whole batches.
//!
//! Each call works through its batch in parts of [`PART`]: the mutex is taken once per part and
//! let go between parts, so that no batch keeps others waiting for longer than a part takes.
//! Callers hear of the outcomes of a part, in their order, while it is not held.

use std::time::Duration;

use kvlease_cache::{Lease, Released};
use kvlease_types::LeaseId;
use tokio::sync::watch;

use crate::{
    clock::now,
    engine::{Engine, Shared},
    state::Unavailable,
};

/// How many keys or leases are worked on while the mutex is held.
const PART: usize = 128;

/// What became of one key of a batch.
#[derive(Debug)]
pub enum Leased {
    /// It is leased to the caller.
    Granted(GrantedLease),
    /// It is being written; the receiver wakes when that ends, either way.
    Writing(watch::Receiver<()>),
    /// No such object, and nobody is writing it.
    Absent {
        /// Whether it was there and was evicted lately.
        evicted: bool,
    },
    /// The daemon is at its limit of live leases.
    TooManyLeases,
    /// The catalog has no memory for another lease.
    MemoryShort,
}

/// A lease that belongs to the caller: it ends when the caller releases it, or at its deadline.
#[derive(Debug)]
pub struct GrantedLease {
    lease: Lease,
}

impl GrantedLease {
    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Engine {
    /// Leases many objects for `ttl`, or for the default time, and returns the time that was
    /// granted. Tells `each` what became of every key, in order; never waits.
    ///
    /// With `prefix` it ends behind the first key that cannot be leased, of which it tells.
    pub fn lease_many<'k>(
        &self,
        bucket: &str,
        keys: impl Iterator<Item = &'k str>,
        ttl: Option<Duration>,
        prefix: bool,
        mut each: impl FnMut(Leased),
    ) -> Duration {
        let ttl = self.shared.granted_ttl(ttl);
        let mut outcomes = Vec::with_capacity(PART);
        in_parts(keys, |part| {
            self.shared.lease_part(bucket, part, ttl, prefix, &mut outcomes);
            let mut missed = false;
            for outcome in outcomes.drain(..) {
                let outcome = match outcome {
                    Leased::Granted(granted) => self.shared.told_of(granted),
                    other => other,
                };
                missed |= !matches!(outcome, Leased::Granted(_));
                each(outcome);
            }
            !(prefix && missed)
        });
        ttl
    }

    /// Ends many leases. Tells `each`, in order, whether the lease was live.
    pub fn release_many(&self, ids: impl Iterator<Item = LeaseId>, mut each: impl FnMut(bool)) {
        let mut released = Vec::with_capacity(PART);
        in_parts(ids, |part| {
            let mut state = self.shared.state();
            let now = now();
            let release = |id: &LeaseId| state.catalog.release(*id, now) != Released::Unknown;
            released.extend(part.iter().map(release));
            drop(state);
            released.drain(..).for_each(&mut each);
            true
        });
    }

    /// Moves the deadlines of many leases to `ttl`, or to the default time, from now, and returns
    /// the time that was granted. Tells `each`, in order, whether the lease is live.
    pub fn renew_many(
        &self,
        ids: impl Iterator<Item = LeaseId>,
        ttl: Option<Duration>,
        mut each: impl FnMut(bool),
    ) -> Duration {
        let ttl = self.shared.granted_ttl(ttl);
        let mut renewed = Vec::with_capacity(PART);
        in_parts(ids, |part| {
            let mut state = self.shared.state();
            let now = now();
            renewed.extend(part.iter().map(|id| self.shared.renew_in(&mut state, *id, ttl, now)));
            drop(state);
            renewed.drain(..).for_each(&mut each);
            true
        });
        ttl
    }

    /// Tells `each`, in order, which objects are there, without counting as a use of them.
    ///
    /// With `prefix` it ends behind the first that is not, of which it tells.
    pub fn exists_many<'k>(
        &self,
        bucket: &str,
        keys: impl Iterator<Item = &'k str>,
        prefix: bool,
        mut each: impl FnMut(bool),
    ) {
        let mut found = Vec::with_capacity(PART);
        in_parts(keys, |part| {
            self.shared.state().catalog.contains_many(bucket, part, |there| found.push(there));
            let miss = found.iter().position(|there| !there).filter(|_| prefix);
            found.truncate(miss.map_or(PART, |miss| miss + 1));
            found.drain(..).for_each(&mut each);
            miss.is_none()
        });
    }
}

impl Shared {
    /// Makes a lease ready for somebody to be told of it; a miss if its object is damaged.
    fn told_of(&self, granted: GrantedLease) -> Leased {
        if self.vouches_for(&granted.lease) {
            self.note_lease(&granted.lease);
            return Leased::Granted(granted);
        }
        self.state().catalog.release(granted.lease.id, now());
        Leased::Absent { evicted: false }
    }

    /// Leases the keys of one part, with `prefix` up to the first that cannot be leased.
    fn lease_part(
        &self,
        bucket: &str,
        keys: &[&str],
        ttl: Duration,
        prefix: bool,
        outcomes: &mut Vec<Leased>,
    ) {
        self.state().acquire_many(bucket, keys, ttl, now(), |outcome| {
            let granted = outcome.is_ok();
            outcomes.push(Leased::from(outcome));
            granted || !prefix
        });
    }
}

impl From<Result<Lease, Unavailable>> for Leased {
    fn from(outcome: Result<Lease, Unavailable>) -> Self {
        match outcome {
            Ok(lease) => Self::Granted(GrantedLease { lease }),
            Err(Unavailable::Writing(end)) => Self::Writing(end),
            Err(Unavailable::Absent { evicted }) => Self::Absent { evicted },
            Err(Unavailable::TooManyLeases) => Self::TooManyLeases,
            Err(Unavailable::MemoryShort) => Self::MemoryShort,
        }
    }
}

/// Hands out the items in slices of up to [`PART`] until `each` says that it has seen enough.
fn in_parts<T>(mut items: impl Iterator<Item = T>, mut each: impl FnMut(&[T]) -> bool) {
    let mut part = Vec::with_capacity(PART);
    loop {
        part.extend(items.by_ref().take(PART));
        if part.is_empty() || !each(&part) {
            return;
        }
        part.clear();
    }
}
