//! Ways to one daemon's objects: the fast lane and HTTP.
//!
//! A call is about a batch of keys; a single key is a batch of one. Leases are guards: dropping one
//! releases it in the background.

mod http;
mod lane;

pub(super) use http::{HttpBackend, HttpLease};
pub(super) use lane::LaneBackend;

use std::time::Duration;

use kvlease_types::Key;

use super::lease::LeaseGuard;
use crate::{Error, PutBody, PutOutcome};

/// Answers to the first keys of a batch, in the order of the keys.
///
/// Fewer answers than keys mean that the backend can go no further: its connection broke, or there
/// is no shared memory to lease in. The next backend is asked for the rest.
pub(super) type Answers<T> = Vec<Result<T, Error>>;

/// One way to a daemon's objects.
pub(super) trait Backend {
    /// Guard of one lease.
    type Lease: LeaseGuard;

    /// Leases objects, each of them within the limit on their length; `None` is a miss.
    fn acquire(&self, keys: &[&Key]) -> impl Future<Output = Answers<Option<Self::Lease>>> + Send;

    /// Extends a lease so that it lasts `ttl` from now, or as much as the daemon grants. `false` if
    /// it has ended.
    fn renew(
        &self,
        lease: &mut Self::Lease,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Sends the releases that wait for others to go with them.
    fn flush(&self);

    /// Which objects exist.
    fn exists(&self, keys: &[&Key]) -> impl Future<Output = Answers<bool>> + Send;

    /// How many objects exist before the first one that does not. `None` if the backend cannot tell:
    /// the next one is asked.
    fn count_prefix(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Option<Result<usize, Error>>> + Send;

    /// Stores objects. A body may be used up by its answer. An object without an answer may be
    /// stored nevertheless.
    fn put(
        &self,
        objects: &mut [(&Key, PutBody)],
    ) -> impl Future<Output = Answers<PutOutcome>> + Send;

    /// Removes objects; `false` for an object that was not there.
    fn remove(&self, keys: &[&Key]) -> impl Future<Output = Answers<bool>> + Send;
}
