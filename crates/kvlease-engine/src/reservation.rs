//! Objects that somebody outside writes straight into the arena.

use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, Timestamp};

use crate::{
    clock::now,
    engine::Shared,
    error::{CommitError, PutError},
    write::{Stored, Write},
};

use std::sync::Arc;

/// Space that one client writes one object into. Nobody sees the object before
/// [`Reservation::commit`]; dropping it discards the object and gives its extents to others.
///
/// So whoever has told a client of it keeps it, if the client may still be writing, until the
/// grace after its deadline is over: see [`Reservation::until`].
#[derive(Debug)]
pub struct Reservation {
    write: Write,
    extents: Vec<Extent>,
    len: ByteSize,
    deadline: Timestamp,
}

impl Reservation {
    /// Before anyone can be told of the extents, the horizon learns until when they must not be
    /// used by others, even by another incarnation of the daemon.
    pub(crate) fn make(
        shared: &Arc<Shared>,
        bucket: BucketName,
        key: Key,
        len: ByteSize,
    ) -> Result<Self, PutError> {
        let now = now();
        let (write, extents) = Write::begin(shared, bucket, key, len, now)?;
        let deadline = now.after(shared.config.reservation_ttl);
        let reservation = Self { write, extents, len, deadline };
        shared.arena.lease_fence().raise(&reservation.extents, reservation.until());
        Ok(reservation)
    }

    /// Where the bytes go, in their order, with exact lengths.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The length of the object.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// Until when it can be committed.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Until when a client that was told of it may still be writing: the deadline and the grace.
    pub fn until(&self) -> Timestamp {
        self.deadline.after(self.write.shared.config.catalog.lease_grace)
    }

    /// Publishes the object. The client vouches for the checksum with the bytes that it wrote.
    ///
    /// # Errors
    ///
    /// [`CommitError::Expired`] after the deadline; the object is discarded.
    pub fn commit(self, checksum: Checksum) -> Result<Stored, CommitError> {
        let now = now();
        if now >= self.deadline {
            return Err(CommitError::Expired);
        }
        Ok(self.write.seal(self.len, checksum, now))
    }
}
