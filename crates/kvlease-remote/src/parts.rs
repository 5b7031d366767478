//! Parts of a transfer that are under way at the same time.

use std::pin::pin;

use futures_util::{
    StreamExt, TryStreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use kvlease_tier::TierError;

/// Parts of an object that are on their way into the store. They advance while their owner waits here,
/// and dropping this ends them.
#[derive(Debug)]
pub(crate) struct Parts<F> {
    under_way: FuturesUnordered<F>,
    max: usize,
}

impl<F: Future<Output = Result<(), TierError>>> Parts<F> {
    /// No parts yet, and at most `max` at once.
    pub(crate) fn new(max: usize) -> Self {
        Self { under_way: FuturesUnordered::new(), max }
    }

    /// Waits for `wanted`, such as memory for the next part, and for a place among the parts.
    pub(crate) async fn and<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T, TierError> {
        let mut wanted = pin!(wanted);
        while self.under_way.len() >= self.max {
            self.under_way.try_next().await?;
        }
        loop {
            if self.under_way.is_empty() {
                return Ok(wanted.await);
            }
            // The parts first: those that were added last start here.
            match select(self.under_way.next(), wanted.as_mut()).await {
                Either::Left((Some(done), _)) => done?,
                Either::Left((None, _)) => {}
                Either::Right((value, _)) => return Ok(value),
            }
        }
    }

    /// Adds a part.
    pub(crate) fn add(&mut self, part: F) {
        self.under_way.push(part);
    }

    /// Waits for all parts.
    pub(crate) async fn finish(mut self) -> Result<(), TierError> {
        while self.under_way.try_next().await?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn parts_advance_while_their_owner_waits_for_what_they_hold() {
        let (freed, memory) = oneshot::channel();
        let mut parts = Parts::new(2);
        parts.add(
            async move {
                freed.send(7).expect("the owner waits");
                Ok(())
            }
            .boxed(),
        );
        assert_eq!(parts.and(memory).await.unwrap(), Ok(7));
        parts.finish().await.unwrap();
    }

    #[tokio::test]
    async fn no_more_parts_than_allowed_are_under_way() {
        let mut parts = Parts::new(1);
        parts.add(pending().boxed());
        assert!(parts.and(ready(())).now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_failure_of_a_part_is_that_of_all() {
        let mut parts = Parts::new(2);
        parts.add(ready(Err(TierError::Full)));
        assert!(matches!(parts.and(pending::<()>()).await, Err(TierError::Full)));
    }
}
