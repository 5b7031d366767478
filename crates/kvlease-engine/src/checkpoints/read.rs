//! Shards on their way out, from wherever their bytes are.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use kvlease_types::{BucketName, Checksum, Key};

use super::{
    disk::{FileRead, StoredFile},
    handle::Checkpoints,
    name::ShardPlace,
    replicas::ReplicaRead,
};
use crate::read::{Read, ReadError};

/// A shard that is being read. As with every object, the last piece is given out only once all bytes
/// were found to match the checksum.
#[derive(Debug)]
pub struct ShardRead(Source);

#[derive(Debug)]
enum Source {
    Object(Box<Read>),
    File { checkpoints: Arc<Checkpoints>, read: FileRead, lost: Lost },
    Replica(Box<ReplicaRead>),
}

/// Shard that is lost if its file cannot be read.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) bucket: BucketName,
    pub(super) place: ShardPlace,
    pub(super) key: Key,
}

impl ShardRead {
    pub(super) fn of_object(read: Read) -> Self {
        Self(Source::Object(Box::new(read)))
    }

    pub(super) fn of_replica(read: ReplicaRead) -> Self {
        Self(Source::Replica(Box::new(read)))
    }

    pub(super) fn of_file(checkpoints: &Arc<Checkpoints>, read: FileRead, lost: Lost) -> Self {
        Self(Source::File { checkpoints: Arc::clone(checkpoints), read, lost })
    }

    /// How many bytes are still to be given out; all of the shard's at first.
    pub fn left(&self) -> u64 {
        match &self.0 {
            Source::Object(read) => read.left(),
            Source::File { read, .. } => read.left(),
            Source::Replica(read) => read.left(),
        }
    }

    /// The checksum that the shard was stored with.
    pub fn checksum(&self) -> Checksum {
        match &self.0 {
            Source::Object(read) => read.checksum(),
            Source::File { read, .. } => read.checksum(),
            Source::Replica(read) => read.checksum(),
        }
    }

    /// The next piece, up to [`READ_PIECE_MAX`](crate::READ_PIECE_MAX) bytes; `None` behind the last one. To
    /// be polled on a runtime.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        match &mut self.0 {
            Source::Object(read) => Poll::Ready(read.next_piece()),
            Source::Replica(read) => read.poll_piece(context),
            Source::File { checkpoints, read, lost } => {
                let piece = ready!(read.poll_piece(context));
                if piece.is_err() {
                    checkpoints.lose_now(lost);
                }
                Poll::Ready(piece)
            }
        }
    }
}

impl Checkpoints {
    /// Removes a shard whose file cannot be read, or has other bytes than were stored: no step that needs
    /// it is listed any more.
    pub(super) async fn lose(&self, lost: &Lost) {
        let files = self.forget_file(lost);
        self.remove_files(files).await;
    }

    /// As [`Self::lose`], without a wait for the file.
    fn lose_now(self: &Arc<Self>, lost: &Lost) {
        let (checkpoints, files) = (Arc::clone(self), self.forget_file(lost));
        tokio::spawn(async move { checkpoints.remove_files(files).await });
    }

    fn forget_file(&self, Lost { bucket, place, key }: &Lost) -> Vec<StoredFile> {
        let lost = self.table().forget(bucket, *place, key);
        let file = lost.and_then(|shard| shard.into_gone().file);
        if file.is_some() {
            tracing::error!(
                namespace = %bucket, rank = place.rank, step = place.step,
                "removed a shard whose file is lost or corrupt: its step is not listed any more"
            );
        }
        file.into_iter().collect()
    }
}
