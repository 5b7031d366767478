//! Objects on their way in.

use std::sync::Arc;

use kvlease_sys::Digest;
use kvlease_types::{BucketName, ByteSize, Caller, Extent, Key, WriteRefused};

use crate::{
    clock::now,
    cursor::Cursor,
    shared::Shared,
    write::{Stored, Write},
};

/// The first reservation of an object whose length is not known beforehand.
const UNSIZED_FIRST: ByteSize = ByteSize::mib(1);

/// The largest amount by which such a reservation grows at once.
const UNSIZED_STEP_MAX: ByteSize = ByteSize::mib(64);

/// A pending object whose bytes come through the daemon. It is invisible before [`Put::seal`];
/// dropping it discards it and gives its extents back.
#[derive(Debug)]
pub struct Put {
    write: Write,
    announced: Option<ByteSize>,
    extents: Vec<Extent>,
    cursor: Cursor,
    reserved: u64,
    received: u64,
    digest: Digest,
}

impl Put {
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        caller: &Caller,
        bucket: BucketName,
        key: Key,
        len: Option<ByteSize>,
    ) -> Result<Self, WriteRefused> {
        let max = shared.config.object_len_max;
        let first = len.unwrap_or(UNSIZED_FIRST.min(max));
        let (write, extents) =
            Write::begin(shared, &mut shared.state(), caller, (bucket, key), first, now())?;
        Ok(Self {
            write,
            announced: len,
            extents: extents.to_vec(),
            cursor: Cursor::default(),
            reserved: first.bytes(),
            received: 0,
            digest: Digest::new(),
        })
    }

    /// Appends bytes, straight into the arena.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteRefused> {
        self.make_room(bytes.len() as u64)?;
        self.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let run = self.cursor.advance(&self.extents, bytes.len() as u64);
            let (now, later) = bytes.split_at(run.len.bytes() as usize);
            self.write.shared.arena.write(run.offset, now, &mut self.digest);
            bytes = later;
        }
        Ok(())
    }

    /// Publishes the object.
    pub fn seal(self) -> Result<Stored, WriteRefused> {
        let len = ByteSize::new(self.received);
        if let Some(announced) = self.announced.filter(|announced| *announced != len) {
            return Err(WriteRefused::Incomplete { received: len, announced });
        }
        let shared = Arc::clone(&self.write.shared);
        Ok(self.write.seal(&mut shared.state(), len, self.digest.finish(), now()))
    }

    fn make_room(&mut self, more: u64) -> Result<(), WriteRefused> {
        let needed = self.received.saturating_add(more);
        if needed <= self.reserved {
            return Ok(());
        }
        if let Some(announced) = self.announced {
            return Err(WriteRefused::TooLong { announced });
        }
        let max = self.write.shared.config.object_len_max;
        if needed > max.bytes() {
            return Err(WriteRefused::TooLarge { object_len_max: max });
        }
        // Doubling keeps the extents of a long body few.
        let step = self.reserved.min(UNSIZED_STEP_MAX.bytes()).max(needed - self.reserved);
        let step = step.min(max.bytes() - self.reserved);
        let extents = self.write.extend(ByteSize::new(step))?;
        self.extents.extend_from_slice(&extents);
        self.reserved += step;
        Ok(())
    }
}
