//! Reads over HTTP, for connectors without shared memory.
//!
//! An open object may keep its stream, and with it a connection, until its rest is read. No more
//! than a share of the connections is kept that way, so that a batch of open objects never waits
//! for a connection that it holds itself; the others ask again for their rest.

use std::sync::Arc;

use bytes::Bytes;
use kvlease_http::{Client, Error, ObjectStream};
use kvlease_types::{ByteSize, Key};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{context::ReadContext, destination::Destination};

/// The rest of an object that comes over HTTP.
#[derive(Debug)]
pub(super) struct Streamed {
    open: Option<Open>,
}

/// A stream past the head.
#[derive(Debug)]
struct Open {
    stream: ObjectStream,
    /// Bytes that arrived together with the end of the head.
    pending: Bytes,
    /// The place among the kept streams.
    _kept: Option<OwnedSemaphorePermit>,
}

/// Whether an open object's rest is read right away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// By the same call: it uses its connection throughout and waits for nothing else.
    ReadNow,
    /// By another call, which may never come.
    ReadLater,
}

impl Streamed {
    /// Finds an object and reads its head. `None` on a miss.
    pub(super) async fn open(
        context: &ReadContext,
        key: &Key,
        head_len: usize,
        next: Next,
    ) -> Result<Option<(ByteSize, Vec<u8>, Self)>, Error> {
        let Some(stream) = context.backends.http.client.get(key).await? else { return Ok(None) };
        let (len, mut open) = (stream.len(), Open { stream, pending: Bytes::new(), _kept: None });
        let head = open.read_head(head_len).await?;
        let keep = match next {
            Next::ReadNow => true,
            Next::ReadLater => {
                open._kept = Arc::clone(&context.kept_streams).try_acquire_owned().ok();
                open._kept.is_some()
            }
        };
        Ok(Some((len, head, Self { open: keep.then_some(open) })))
    }

    /// Reads what follows the head into the buffers, and the stream to its end.
    pub(super) async fn read(
        self: Box<Self>,
        context: &ReadContext,
        key: &Key,
        head: &[u8],
        mut into: Destination,
    ) -> (Option<Destination>, Result<(), Error>) {
        let open = match self.open {
            Some(open) => Ok(open),
            None => Self::reopen(&context.backends.http.client, key, head, into.len()).await,
        };
        let read = match open {
            Ok(open) => open.read_rest(key, into.parts()).await,
            Err(error) => Err(error),
        };
        if matches!(read, Err(Error::Corrupt { .. })) {
            // The generation is unknown: the stream does not tell it.
            context.backends.report_corrupt(key, None, &Handle::current());
        }
        (Some(into), read)
    }

    /// Asks again for an object whose stream was not kept.
    async fn reopen(client: &Client, key: &Key, head: &[u8], rest: usize) -> Result<Open, Error> {
        let changed = || Error::LeaseEnded { key: key.clone() };
        let stream = client.get(key).await?.ok_or_else(changed)?;
        if stream.len().bytes() < (head.len() + rest) as u64 {
            return Err(changed());
        }
        let mut open = Open { stream, pending: Bytes::new(), _kept: None };
        if open.read_head(head.len()).await? != head {
            return Err(changed());
        }
        Ok(open)
    }
}

impl Open {
    async fn read_head(&mut self, head_len: usize) -> Result<Vec<u8>, Error> {
        let len = self.stream.len().bytes().min(head_len as u64) as usize;
        let mut head = Vec::new();
        while head.len() < len {
            let Some(bytes) = self.stream.next().await? else { break };
            self.pending = bytes;
            let part = self.pending.split_to(self.pending.len().min(len - head.len()));
            head.extend_from_slice(&part);
        }
        Ok(head)
    }

    async fn read_rest<'b>(
        mut self,
        key: &Key,
        parts: impl Iterator<Item = &'b mut [u8]>,
    ) -> Result<(), Error> {
        for mut into in parts {
            while !into.is_empty() {
                if self.pending.is_empty() {
                    let ended = || Error::LeaseEnded { key: key.clone() };
                    self.pending = self.stream.next().await?.ok_or_else(ended)?;
                }
                let part = self.pending.split_to(self.pending.len().min(into.len()));
                into.split_off_mut(..part.len()).expect("no longer than it").copy_from_slice(&part);
            }
        }
        // What the object has beyond the buffers is summed by the stream and left.
        while self.stream.next().await?.is_some() {}
        Ok(())
    }
}
