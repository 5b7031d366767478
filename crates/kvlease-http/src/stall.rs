//! Limit on the time in which a transfer makes no progress.
//!
//! A transfer may take long, since objects are long. A daemon that is stopped takes no byte and sends
//! none, and is given up long before the time limit of the whole transfer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep, timeout};

/// Watch over one transfer.
#[derive(Debug)]
pub(crate) struct Stall {
    /// `None`: it may stall for as long as it may take.
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    moved: usize,
}

/// The transfer made no progress for this time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stalled(pub(crate) Duration);

impl Stall {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, timer: None, moved: 0 }
    }

    /// Fails once the peer is waited for and `moved` has been the same for the whole time. Time in
    /// which the caller's own source is waited for does not count.
    pub(crate) fn check(
        &mut self,
        context: &mut Context<'_>,
        moved: usize,
        waits_for_peer: bool,
    ) -> Result<(), Stalled> {
        let Some(limit) = self.limit else { return Ok(()) };
        if !waits_for_peer || moved != self.moved {
            (self.timer, self.moved) = (None, moved);
        }
        if !waits_for_peer {
            return Ok(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Err(Stalled(limit)),
            Poll::Pending => Ok(()),
        }
    }

    /// Output of a future that waits for the peer.
    pub(crate) async fn apply<T>(&self, future: impl Future<Output = T>) -> Result<T, Stalled> {
        match self.limit {
            Some(limit) => timeout(limit, future).await.map_err(|_| Stalled(limit)),
            None => Ok(future.await),
        }
    }
}
