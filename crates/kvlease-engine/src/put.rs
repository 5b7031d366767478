//! Objects on their way in.

use std::sync::Arc;

use kvlease_cache::WriteId;
use kvlease_shm::{Digest, boot_time};
use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key};

use crate::{cursor::Cursor, engine::Shared, error::PutError};

/// The first reservation of an object whose length is not known beforehand.
const UNSIZED_FIRST: ByteSize = ByteSize::mib(1);

/// The largest amount by which such a reservation grows at once.
const UNSIZED_STEP_MAX: ByteSize = ByteSize::mib(64);

/// An object that is being written. Nobody sees it before [`Put::seal`]; dropping it discards it
/// and gives its extents back.
#[derive(Debug)]
pub struct Put {
    shared: Arc<Shared>,
    id: WriteId,
    announced: Option<ByteSize>,
    extents: Vec<Extent>,
    cursor: Cursor,
    reserved: u64,
    received: u64,
    digest: Digest,
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

impl Put {
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        bucket: BucketName,
        key: Key,
        len: Option<ByteSize>,
    ) -> Result<Self, PutError> {
        let max = shared.config.object_len_max;
        if len.is_some_and(|len| len > max) {
            return Err(PutError::TooLarge { max });
        }
        let first = len.unwrap_or(UNSIZED_FIRST.min(max));
        let reservation = shared.state().catalog.reserve(bucket, key, first, boot_time())?;
        Ok(Self {
            shared: Arc::clone(shared),
            id: reservation.id,
            announced: len,
            extents: reservation.extents,
            cursor: Cursor::default(),
            reserved: first.bytes(),
            received: 0,
            digest: Digest::new(),
            open: true,
        })
    }

    /// Appends bytes, straight into the arena.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), PutError> {
        self.make_room(bytes.len() as u64)?;
        self.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let run = self.cursor.advance(&self.extents, bytes.len() as u64);
            let (now, later) = bytes.split_at(run.len.bytes() as usize);
            self.shared.arena.write(run.offset, now, &mut self.digest);
            bytes = later;
        }
        Ok(())
    }

    /// Publishes the object.
    pub fn seal(mut self) -> Result<Stored, PutError> {
        let len = ByteSize::new(self.received);
        if let Some(announced) = self.announced.filter(|announced| *announced != len) {
            return Err(PutError::TooShort { received: len, announced });
        }
        let checksum = self.digest.clone().finish();
        self.open = false;
        let mut state = self.shared.state();
        state
            .catalog
            .seal(self.id, len, checksum, boot_time())
            .expect("a write is known until this guard seals or aborts it");
        state.awaited.remove(&self.id);
        Ok(Stored { len, checksum })
    }

    fn make_room(&mut self, more: u64) -> Result<(), PutError> {
        let needed = self.received.saturating_add(more);
        if needed <= self.reserved {
            return Ok(());
        }
        if let Some(announced) = self.announced {
            return Err(PutError::TooLong { announced });
        }
        let max = self.shared.config.object_len_max;
        if needed > max.bytes() {
            return Err(PutError::TooLarge { max });
        }
        // Doubling keeps the extents of a long body few.
        let step = self.reserved.min(UNSIZED_STEP_MAX.bytes()).max(needed - self.reserved);
        let step = step.min(max.bytes() - self.reserved);
        let now = boot_time();
        let extents = self.shared.state().catalog.extend(self.id, ByteSize::new(step), now)?;
        self.extents.extend(extents);
        self.reserved += step;
        Ok(())
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        if self.open {
            let mut state = self.shared.state();
            state.catalog.abort(self.id);
            state.awaited.remove(&self.id);
        }
    }
}
