//! The trait.

use std::{fmt, pin::Pin};

use crate::{
    error::TierError,
    object::{Name, Page, Presence, Stat, Usage},
    transfer::{Destination, Loaded, Object, Source, Stored},
};

/// Future of a tier's answer. Dropping it cancels the call: a load discards its destination, and a
/// store publishes the whole object or nothing.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, TierError>> + Send + 'a>>;

/// Store of whole objects below the arena.
///
/// Objects are immutable: every writer of a name writes the same bytes, so of two stores either may
/// win. A tier may forget any object at any time to make room.
///
/// An implementation runs its own work on its own threads, or on the runtime that polls the
/// answers; neither the calls nor the polls block a thread. It passes the conformance suite
/// (`kvlease-tier-conformance`) against the real store.
pub trait Tier: fmt::Debug + Send + Sync {
    /// Kind of the tier, in metrics and logs: `nvme`, `s3`, `valkey`.
    fn kind(&self) -> &'static str;

    /// Where the tier is, for people: a path or a URL without its credentials.
    fn place(&self) -> String;

    /// Way in which bytes move between memory and the store, for people, if there are several:
    /// `io_uring, direct`.
    fn way(&self) -> Option<String> {
        None
    }

    /// The longest object that the tier takes, in bytes.
    fn len_max(&self) -> u64;

    /// Knowledge about a name, without a call to the store.
    fn presence(&self, bucket: &str, key: &str) -> Presence;

    /// Looks objects of a bucket up, in order: at most two round trips for all of them.
    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>>;

    /// Loads an object of this length and checksum. Completes the destination if the stored object
    /// is whole; drops it otherwise.
    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded>;

    /// Stores an object. Once this has answered, the object survives the end of the daemon, and of
    /// the machine as far as the store does.
    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored>;

    /// Removes objects of a bucket. Returns, in order, whether each was there, as far as the store
    /// tells. An object does not come back once this has answered.
    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>>;

    /// One page of a bucket's objects whose keys start with `prefix`: at most `limit`, and maybe
    /// fewer though more follow.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page>;

    /// Contents of the tier.
    fn usage(&self) -> Usage;

    /// Ends the tier: what is under way is ended or completed, and what was stored is safe. Later
    /// calls fail.
    fn close(&self) -> Answer<'_, ()>;
}
