//! Objects on their way to the arena.

use std::{ops::Range, pin::pin};

use futures_util::{StreamExt, stream};
use kvlease_sys::Digest;
use kvlease_tier::{Destination, Loaded, Name, Stat, TierError};
use object_store::path::Path;

use super::{
    bucket::{S3, Start},
    format::{PARTS_AT_ONCE, read_parts},
};
use crate::{
    budget::Share,
    delivery::Delivery,
    head::{Head, head_len},
};

impl S3 {
    /// Loads an object. One that turns out to be corrupt is removed.
    pub(super) async fn load_object(
        &self,
        name: &Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        self.check_open()?;
        let loaded = self.read(name, stat, Delivery::new(destination, stat)).await;
        if let Err(TierError::Corrupt { .. }) = loaded {
            // If that fails, the next load finds the same.
            let path = self.path(name.bucket.as_str(), name.key.as_str())?;
            drop(self.delete(&path).await);
        }
        loaded
    }

    async fn read(
        &self,
        name: &Name,
        stat: Stat,
        mut delivery: Delivery,
    ) -> Result<Loaded, TierError> {
        let (bucket, key) = (name.bucket.as_str(), name.key.as_str());
        let path = self.path(bucket, key)?;
        let head_len = head_len(bucket, key);
        let len = head_len as u64 + stat.len.bytes();
        let parts = stream::iter(read_parts(len)).map(|range| self.part(&path, range));
        let mut parts = pin!(parts.buffered(PARTS_AT_ONCE));
        // The first part says what the value is.
        let mut in_head = head_len;
        while let Some(part) = parts.next().await {
            let (Some(part), _share) = part? else { return Ok(Loaded::Absent) };
            if in_head > 0 {
                let head = Head::decode_as(&part.first(head_len), bucket, key);
                let head = head.map_err(|reason| TierError::Foreign { reason })?;
                if head.stat != stat {
                    return Ok(Loaded::Absent);
                }
                if part.len != len {
                    // The bytes that are missing are in no checksum: what is there has another one.
                    let mut digest = Digest::new();
                    part.bytes.iter().for_each(|bytes| digest.update(bytes));
                    let found = digest.finish();
                    return Err(TierError::Corrupt { expected: stat.checksum, found });
                }
            }
            for bytes in part.bytes {
                let skipped = in_head.min(bytes.len());
                in_head -= skipped;
                delivery.append(&bytes[skipped..]).await;
            }
        }
        delivery.finish()
    }

    async fn part(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> Result<(Option<Start>, Share), TierError> {
        let share = self.budget.take(range.end - range.start).await;
        Ok((self.range(path, range).await?, share))
    }
}
