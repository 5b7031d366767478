//! The bodies of replies.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use kvlease_engine::{Grants, Read, ReadError, ShardRead};

use super::{accounted::accounted, pieces::Pieces};
use crate::connection_memory::Held;

/// Body of a reply.
pub(crate) enum Body {
    /// Nothing, or the whole at once.
    Full(Option<Bytes>),
    /// A lease. It is the client's from the moment the connection takes the bytes; if it never
    /// does, because the client has gone, dropping the body releases the lease.
    Lease(Option<(Bytes, Grants)>),
    /// An object, piece by piece. An error ends the connection, so the client sees a body that
    /// is shorter than announced instead of wrong bytes. The pieces hold the memory until the
    /// system has taken them.
    Object(Box<Read>, Option<Arc<Held>>),
    /// A shard of a checkpoint, likewise.
    Shard(Box<ShardRead>, Option<Arc<Held>>),
    /// Pieces of text that are made meanwhile, until there are no more.
    Stream(Pieces),
}

/// A piece with the memory that was taken for it.
fn with(
    piece: Result<Option<Bytes>, ReadError>,
    held: &Option<Arc<Held>>,
) -> Result<Option<Bytes>, ReadError> {
    piece.map(|piece| piece.map(|piece| accounted(piece, held.clone())))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let next = match self.get_mut() {
            Self::Full(bytes) => Ok(bytes.take()),
            Self::Lease(lease) => Ok(lease.take().map(|(bytes, grants)| {
                grants.deliver();
                bytes
            })),
            Self::Object(read, held) => with(read.next_piece(), held),
            Self::Shard(read, held) => with(ready!(read.poll_piece(context)), held),
            Self::Stream(pieces) => Ok(ready!(pieces.poll_next(context))),
        };
        Poll::Ready(next.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Lease(lease) => lease.is_none(),
            Self::Object(read, _) => read.left() == 0,
            Self::Shard(read, _) => read.left() == 0,
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Full(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Lease(lease) => lease.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64),
            Self::Object(read, _) => read.left(),
            Self::Shard(read, _) => read.left(),
            Self::Stream(_) => return SizeHint::default(),
        })
    }
}
