//! Shards on their way out of the shared store.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use kvlease_sys::Digest;
use kvlease_tier::TierError;
use kvlease_types::{BucketName, Checksum};
use tokio::task::JoinHandle;

use super::{
    super::name::ShardName,
    queue::Replicas,
    record::{ReplicaRecord, part_key, record_key},
    remote::Remote,
};
use crate::read::{READ_PIECE_MAX, ReadError};

/// Shard that is being read from the shared store, one part ahead of its reader.
#[derive(Debug)]
pub(in super::super) struct ReplicaRead {
    remote: Remote,
    bucket: BucketName,
    name: ShardName,
    record: ReplicaRecord,
    digest: Box<Digest>,
    /// The part that is given out.
    part: Bytes,
    /// Number of the part behind it, which is on its way.
    next: u64,
    coming: Option<JoinHandle<Result<Option<Vec<u8>>, TierError>>>,
    /// Bytes that were not given out.
    left: u64,
    /// Bytes of the parts that have not come.
    missing: u64,
}

impl ReplicaRead {
    /// Looks a replica up; `None` if there is none any more.
    pub(in super::super) async fn open(
        replicas: &Replicas,
        bucket: &BucketName,
        name: ShardName,
    ) -> Result<Option<(Self, Option<Arc<str>>)>, TierError> {
        let found = replicas.remote.get(bucket, record_key(&name)).await?;
        let Some(record) = found.as_deref().and_then(ReplicaRecord::decode) else {
            return Ok(None);
        };
        let (meta, len) = (record.meta.clone(), record.len.bytes());
        let read = Self {
            remote: replicas.remote.clone(),
            bucket: bucket.clone(),
            name,
            record,
            digest: Box::new(Digest::new()),
            part: Bytes::new(),
            next: 0,
            coming: None,
            left: len,
            missing: len,
        };
        Ok(Some((read, meta)))
    }

    /// How many bytes are still to be given out; all of the shard's at first.
    pub(in super::super) const fn left(&self) -> u64 {
        self.left
    }

    /// Checksum that the shard was stored with.
    pub(in super::super) const fn checksum(&self) -> Checksum {
        self.record.checksum
    }

    /// The next piece; `None` behind the last one. Nothing of the last part is given out unless all bytes
    /// match the checksum.
    pub(in super::super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        if self.left == 0 {
            return Poll::Ready(Ok(None));
        }
        if self.part.is_empty() {
            self.start_part();
            let Some(coming) = &mut self.coming else {
                return Poll::Ready(Err(ReadError::Corrupt));
            };
            let come = ready!(Pin::new(coming).poll(context));
            self.coming = None;
            if let Err(error) = self.take_part(come.map_err(io::Error::other)) {
                return Poll::Ready(Err(error));
            }
        }
        let piece = self.part.split_to(self.part.len().min(READ_PIECE_MAX));
        self.left -= piece.len() as u64;
        Poll::Ready(Ok(Some(piece)))
    }

    /// Starts to load the next part, unless it is on its way or there is none.
    fn start_part(&mut self) {
        if self.coming.is_some() || self.missing == 0 {
            return;
        }
        let (remote, bucket) = (self.remote.clone(), self.bucket.clone());
        let key = part_key(&self.name, self.next);
        self.next += 1;
        self.coming = Some(tokio::spawn(async move { remote.get(&bucket, key).await }));
    }

    fn take_part(
        &mut self,
        come: io::Result<Result<Option<Vec<u8>>, TierError>>,
    ) -> Result<(), ReadError> {
        let part = match come {
            Ok(Ok(Some(part))) => part,
            Ok(Ok(None)) => return Err(ReadError::Corrupt),
            Ok(Err(error)) => {
                tracing::error!("a replica cannot be read: {error}");
                return Err(ReadError::StoreFailed);
            }
            Err(_) => return Err(ReadError::StoreFailed),
        };
        if part.len() as u64 != self.missing.min(self.record.part_len) {
            return Err(ReadError::Corrupt);
        }
        self.digest.update(&part);
        self.missing -= part.len() as u64;
        if self.missing == 0 && self.digest.finish() != self.record.checksum {
            return Err(ReadError::Corrupt);
        }
        self.part = Bytes::from(part);
        self.start_part();
        Ok(())
    }
}
