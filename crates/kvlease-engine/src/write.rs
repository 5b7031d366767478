//! Beginning and end of the writing of an object, by a client or by the daemon.

use std::sync::Arc;

use kvlease_cache::{Extents, WriteId};
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Key, Timestamp, WriteRefused};

use crate::{clock::now, drain::StateGuard, shared::Shared, state::State};

/// A pending object. Dropping it discards the object, gives its extents back, and wakes readers
/// that wait for it, as [`Write::seal`] does. To be dropped while the catalog is not locked.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) shared: Arc<Shared>,
    /// The only caller that may publish it.
    pub(crate) caller: Caller,
    id: WriteId,
    open: bool,
    /// Whether its name comes when it is published.
    is_spare: bool,
    /// Its name, for the capture if there is one.
    pub(crate) name: Option<(BucketName, Key)>,
}

/// A stored object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its length.
    pub len: ByteSize,
    /// The checksum of its bytes.
    pub checksum: Checksum,
}

impl Write {
    /// Takes the name, and space for the `first` bytes of an object of `len`.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        state: &mut StateGuard<'_>,
        caller: &Caller,
        (bucket, key): (BucketName, Key),
        (first, len): (ByteSize, ByteSize),
        now: Timestamp,
    ) -> Result<(Self, Extents), WriteRefused> {
        let object_len_max = shared.len_max(&bucket);
        if len > object_len_max {
            return Err(WriteRefused::TooLarge { object_len_max });
        }
        let reservation =
            state.room(|catalog| catalog.reserve_first(&bucket, &key, (first, len), now))?;
        let (shared, id) = (Arc::clone(shared), reservation.id);
        let name = shared.capture.is_some().then_some((bucket, key));
        let write = Self { shared, caller: *caller, id, open: true, is_spare: false, name };
        Ok((write, reservation.extents))
    }

    /// Takes space for an object of at most `len`, whose name comes later.
    pub(crate) fn begin_spare(
        shared: &Arc<Shared>,
        state: &mut State,
        caller: &Caller,
        len: ByteSize,
    ) -> Result<(Self, Extents), WriteRefused> {
        let reservation = state.catalog.reserve_spare(len)?;
        let (shared, id) = (Arc::clone(shared), reservation.id);
        let write = Self { shared, caller: *caller, id, open: true, is_spare: true, name: None };
        Ok((write, reservation.extents))
    }

    /// Generation that the object has, and no other one of the incarnation.
    pub(crate) const fn generation(&self) -> u64 {
        self.id.generation()
    }

    /// Whether its name comes when it is published.
    pub(crate) const fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Takes space for `more` bytes.
    pub(crate) fn extend(&self, more: ByteSize) -> Result<Extents, WriteRefused> {
        let (id, now) = (self.id, now());
        self.shared.state().room(|catalog| catalog.extend(id, more, now))
    }

    /// Publishes the first `len` bytes, no more than space was taken for.
    pub(crate) fn seal(
        mut self,
        state: &mut State,
        len: ByteSize,
        checksum: Checksum,
        now: Timestamp,
    ) -> Stored {
        self.open = false;
        state.seal(self.id, len, checksum, now);
        Stored { len, checksum }
    }

    /// Publishes the first `len` bytes under this name. A refusal leaves the object pending.
    pub(crate) fn seal_spare(
        &mut self,
        state: &mut State,
        name: (&BucketName, &Key),
        (len, checksum): (ByteSize, Checksum),
        now: Timestamp,
    ) -> Result<Stored, WriteRefused> {
        // No reader waits for what has no name.
        state.catalog.seal_spare(self.id, name, len, checksum, now)?;
        self.open = false;
        Ok(Stored { len, checksum })
    }

    /// Discards the object while the catalog is locked.
    pub(crate) fn abort(mut self, state: &mut State) {
        self.open = false;
        state.abort(self.id, self.is_load());
    }

    /// Whether the daemon writes it, which it does to load an object from a tier.
    fn is_load(&self) -> bool {
        self.caller == Caller::DAEMON
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.open {
            self.shared.state().abort(self.id, self.is_load());
        }
    }
}
