//! Objects on their way to the arena.

use std::{ops::Range, pin::pin};

use futures_util::{StreamExt, stream};
use kvlease_sys::Digest;
use kvlease_tier::{Destination, Loaded, Name, Stat, TierError};
use object_store::path::Path;

use super::{
    bucket::{S3, Start},
    format::{PART_LEN, PARTS_AT_ONCE},
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
        let head_len = head_len(bucket, key) as u64;
        let len = head_len + stat.len.bytes();
        let first = 0..len.min(PART_LEN);
        // The first part says what the value is; the others are asked for once that is known.
        let (start, share) = self.part(&path, first.clone()).await?;
        let Some(start) = start else { return Ok(Loaded::Absent) };
        let foreign = |reason: String| TierError::Foreign { reason };
        let bytes = start.bytes.concat();
        let head = Head::decode_as(&bytes, bucket, key).map_err(foreign)?;
        if head.stat != stat {
            return Ok(Loaded::Absent);
        }
        if start.len != len {
            // The bytes that are missing are in no checksum: what is there has another one.
            let found = Digest::of(&bytes);
            return Err(TierError::Corrupt { expected: stat.checksum, found });
        }
        delivery.append(&bytes[head.len()..]).await;
        drop((bytes, start, share));
        let starts = (first.end..len).step_by(PART_LEN as usize);
        let parts = stream::iter(starts.map(|from| from..len.min(from + PART_LEN)));
        let parts = parts.map(|range| self.part(&path, range)).buffered(PARTS_AT_ONCE);
        let mut parts = pin!(parts);
        while let Some(part) = parts.next().await {
            let (Some(part), _share) = part? else { return Ok(Loaded::Absent) };
            for bytes in part.bytes {
                delivery.append(&bytes).await;
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
