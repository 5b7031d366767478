//! The one place that begins and ends the writing of an object, whoever moves its bytes.

use std::sync::Arc;

use kvlease_cache::WriteId;
use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, Timestamp};

use crate::{clock::now, engine::Shared, error::PutError};

/// An object that is being written. Dropping it discards the object, gives its extents back, and
/// wakes those who wait for it, as [`Write::seal`] does.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) shared: Arc<Shared>,
    id: WriteId,
    open: bool,
}

/// An object that was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its length.
    pub len: ByteSize,
    /// The checksum of its bytes.
    pub checksum: Checksum,
}

impl Write {
    /// Takes the name and space for `len` bytes.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        bucket: BucketName,
        key: Key,
        len: ByteSize,
        now: Timestamp,
    ) -> Result<(Self, Vec<Extent>), PutError> {
        let max = shared.config.object_len_max;
        if len > max {
            return Err(PutError::TooLarge { max });
        }
        let reservation = shared.state().catalog.reserve(bucket, key, len, now)?;
        let write = Self { shared: Arc::clone(shared), id: reservation.id, open: true };
        Ok((write, reservation.extents))
    }

    /// Takes space for `more` bytes.
    pub(crate) fn extend(&self, more: ByteSize) -> Result<Vec<Extent>, PutError> {
        Ok(self.shared.state().catalog.extend(self.id, more, now())?)
    }

    /// Publishes the first `len` bytes, no more than space was taken for.
    pub(crate) fn seal(mut self, len: ByteSize, checksum: Checksum, now: Timestamp) -> Stored {
        self.open = false;
        self.shared.state().seal(self.id, len, checksum, now);
        Stored { len, checksum }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.open {
            self.shared.state().abort(self.id);
        }
    }
}
