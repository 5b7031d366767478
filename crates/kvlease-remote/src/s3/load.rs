//! Objects on their way to the arena.

use std::pin::pin;

use bytes::Bytes;
use futures_util::Stream;
use kvlease_sys::Digest;
use kvlease_tier::{Destination, Loaded, Name, Stat, TierError};

use super::{
    bucket::S3,
    fetch::{Part, fetches},
};
use crate::{
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
        let (parts, fetches) = fetches(self, &path, len);
        let mut fetches = pin!(fetches);
        // The first part says what the value is.
        let mut head = Some(Vec::with_capacity(head_len));
        for mut part in parts {
            let Some(found_len) = part.begin(&mut fetches).await? else {
                return Ok(Loaded::Absent);
            };
            while let Some(mut bytes) = part.next(&mut fetches).await? {
                if let Some(start) = &mut head {
                    let missing = head_len - start.len();
                    start.extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
                    if start.len() < head_len {
                        continue;
                    }
                    if decode(start, name)?.stat != stat {
                        return Ok(Loaded::Absent);
                    }
                    if found_len != len {
                        return Err(torn(stat, bytes, part, &mut fetches).await?);
                    }
                    head = None;
                }
                delivery.append(&bytes).await;
            }
            if let Some(start) = &head {
                decode(start, name)?;
            }
        }
        delivery.finish()
    }
}

fn decode(start: &[u8], name: &Name) -> Result<Head, TierError> {
    Head::decode_as(start, name.bucket.as_str(), name.key.as_str())
        .map_err(|reason| TierError::Foreign { reason })
}

/// The error of a value that is not as long as it should be: these bytes, and what follows them. The bytes
/// that are missing are in no checksum: what is there has another one.
async fn torn(
    stat: Stat,
    first: Bytes,
    mut part: Part,
    fetches: &mut (impl Stream<Item = ()> + Unpin),
) -> Result<TierError, TierError> {
    let mut digest = Digest::new();
    digest.update(&first);
    while let Some(bytes) = part.next(fetches).await? {
        digest.update(&bytes);
    }
    Ok(TierError::Corrupt { expected: stat.checksum, found: digest.finish() })
}
