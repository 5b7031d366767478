//! The contract between a connector and its backends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::runtime::Handle;

/// Answers to the first keys of a batch, in the order of the keys.
///
/// Fewer answers than keys mean that the backend can go no further: its connection broke, or there
/// is no shared memory to lease in. The next backend is asked for the rest.
pub type Answers<T> = Vec<Result<T, Error>>;

/// Answers to the keys of a batch, each in its place. The next backend is asked for those that have
/// none.
pub type PartialAnswers<T> = Vec<Option<Result<T, Error>>>;

/// One way to a daemon's objects.
pub trait Backend {
    /// Guard of one lease.
    type Lease: LeaseGuard;

    /// Leases objects, each of them within the limit on their length; `None` is a miss.
    /// [`Error::StillWriting`] is the answer for an object that may come once others were released.
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
    ) -> impl Future<Output = PartialAnswers<PutOutcome>> + Send;

    /// Removes objects; `false` for an object that was not there.
    fn remove(&self, keys: &[&Key]) -> impl Future<Output = Answers<bool>> + Send;
}

/// Guard of one object's lease. Dropping it releases the lease in the background.
pub trait LeaseGuard {
    /// Places of the object's bytes in the mapping, in their order.
    fn extents(&self) -> &[Extent];

    /// Length of the object.
    fn object_len(&self) -> ByteSize;

    /// Checksum of the object, if the daemon sends one.
    fn checksum(&self) -> Option<Checksum>;

    /// Generation of the object, if the daemon sends one.
    fn generation(&self) -> Option<u64>;

    /// End of the lease, counted from before the request left.
    fn deadline(&self) -> Instant;

    /// Whether the lease lives, without a look at the segment's name.
    fn is_unexpired(&self) -> bool;

    /// The mapping that the extents are about.
    fn attachment(&self) -> &Arc<Attachment>;

    /// The runtime for work in the background.
    fn runtime(&self) -> &Handle;

    /// Has the lease renewed for as long as its guard lives, where the daemon is known to renew. A
    /// renewal may take as long as `limit`.
    fn keep_alive(&self, limit: Duration);
}
