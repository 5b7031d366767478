//! Ranges of a value on their way, side by side, and read one behind the other.
//!
//! The bytes of the range that is read go to the reader as they come, so that they need no memory of their own
//! for long. Those of later ranges wait.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use kvlease_tier::TierError;
use object_store::path::Path;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    bucket::S3,
    format::{PARTS_AT_ONCE, read_parts},
};
use crate::budget::Share;

/// Answer to the request for a range, as it comes.
enum Came {
    /// The store has the value: its length, and the memory for what comes.
    Found(u64, Share),
    /// The next bytes.
    Bytes(Bytes),
}

/// Range of a value, for its reader.
pub(super) struct Part {
    queue: UnboundedReceiver<Result<Came, TierError>>,
    /// Memory of what comes.
    share: Option<Share>,
}

/// The ranges of a value of `len` bytes, in order, and the requests for them, which advance while they are
/// polled.
pub(super) fn fetches<'a>(
    tier: &'a S3,
    path: &'a Path,
    len: u64,
) -> (Vec<Part>, impl Stream<Item = ()> + 'a) {
    let both = read_parts(len).map(|range| {
        let (sender, queue) = unbounded_channel();
        (Part { queue, share: None }, tier.fetch(path, range, sender))
    });
    let (parts, fetches): (Vec<_>, Vec<_>) = both.unzip();
    (parts, stream::iter(fetches).buffer_unordered(PARTS_AT_ONCE))
}

impl Part {
    /// Waits for the answer of the store: the length of the value, or `None` if there is none.
    pub(super) async fn begin(
        &mut self,
        fetches: &mut (impl Stream<Item = ()> + Unpin),
    ) -> Result<Option<u64>, TierError> {
        match self.came(fetches).await? {
            Some(Came::Found(len, share)) => {
                self.share = Some(share);
                Ok(Some(len))
            }
            _ => Ok(None),
        }
    }

    /// The next bytes; `None` behind the last ones.
    pub(super) async fn next(
        &mut self,
        fetches: &mut (impl Stream<Item = ()> + Unpin),
    ) -> Result<Option<Bytes>, TierError> {
        match self.came(fetches).await? {
            Some(Came::Bytes(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }

    async fn came(
        &mut self,
        fetches: &mut (impl Stream<Item = ()> + Unpin),
    ) -> Result<Option<Came>, TierError> {
        loop {
            tokio::select! {
                biased;
                came = self.queue.recv() => return came.transpose(),
                Some(()) = fetches.next() => {}
            }
        }
    }
}

impl S3 {
    /// Asks for a range, and passes on what comes. An error comes in its turn: the ranges in front of it
    /// may say that there is no such value.
    async fn fetch(
        &self,
        path: &Path,
        range: Range<u64>,
        into: UnboundedSender<Result<Came, TierError>>,
    ) {
        let share = self.budget.take(range.end - range.start).await;
        let get = async {
            let opened = self.open_range(path, range).await?;
            let Some(mut opened) = opened else { return Ok(()) };
            // The reader may have gone.
            let _ = into.send(Ok(Came::Found(opened.len, share)));
            while let Some(bytes) = opened.bytes.next().await {
                let _ = into.send(Ok(Came::Bytes(bytes?)));
            }
            Ok(())
        };
        if let Err(error) = self.call("GET", get).await {
            let _ = into.send(Err(error));
        }
    }
}
