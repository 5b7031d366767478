//! Look-ups: what exists, without reading it.

use std::sync::atomic::{AtomicUsize, Ordering};

use kvlease_types::Key;

use super::{Connector, window::each};
use crate::Error;

/// How many keys a prefix look-up asks for first. A cold request, whose first key is missing, costs
/// no more than these.
const PREFIX_WINDOW_FIRST: usize = 8;

/// How many times more keys each further window has.
const PREFIX_WINDOW_GROWTH: usize = 4;

impl Connector {
    /// Whether an object exists.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Closed`].
    pub async fn exists(&self, key: &Key) -> Result<bool, Error> {
        self.inner.enter()?;
        let exists = self.inner.exists(key).await?;
        self.inner.counters.found(exists);
        Ok(exists)
    }

    /// Which of many objects exist.
    pub async fn batched_exists(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if let Some(found) = self.fast(keys, self.inner.exists_fast(keys, false)).await {
            return found;
        }
        each(keys, self.window(), |key| self.exists(key)).await
    }

    /// Which of many objects exist; those that do are kept for the read that follows, for
    /// [`ConnectorConfig::lease_retention`](super::ConnectorConfig::lease_retention) and half the
    /// life of their leases at most.
    pub async fn hold(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if let Some(found) = self.fast(keys, self.inner.hold_fast(keys)).await {
            return found;
        }
        each(keys, self.window(), async |key| {
            self.inner.enter()?;
            let exists = self.inner.hold(key).await?;
            self.inner.counters.found(exists);
            Ok(exists)
        })
        .await
    }

    /// How many objects exist before the first one that does not.
    ///
    /// The keys are asked for in windows, each larger than the one before and all of it under way
    /// together; nothing behind the first miss is asked for once it is known.
    ///
    /// # Errors
    ///
    /// Those of any call, if one fails before the first miss.
    pub async fn lookup_prefix(&self, keys: &[Key]) -> Result<usize, Error> {
        self.inner.enter()?;
        if let Some(found) = self.inner.exists_fast(keys, true).await {
            let count = found.iter().take_while(|found| **found).count();
            self.inner.counters.hits.add(count as u64);
            self.inner.counters.misses.add(u64::from(count < keys.len()));
            return Ok(count);
        }
        let (mut start, mut window) = (0, PREFIX_WINDOW_FIRST);
        while start < keys.len() {
            let end = keys.len().min(start.saturating_add(window));
            let found = self.prefix_of(&keys[start..end]).await?;
            start += found;
            if start < end {
                self.inner.counters.misses.one();
                break;
            }
            window = window.saturating_mul(PREFIX_WINDOW_GROWTH);
        }
        self.inner.counters.hits.add(start as u64);
        Ok(start)
    }

    /// The answers of a look-up over the fast lane, counted. `None` to ask over HTTP.
    async fn fast(
        &self,
        keys: &[Key],
        look_up: impl Future<Output = Option<Vec<bool>>>,
    ) -> Option<Vec<Result<bool, Error>>> {
        self.inner.enter().ok()?;
        let found = look_up.await?;
        debug_assert_eq!(found.len(), keys.len(), "an answer for every key");
        found.iter().for_each(|found| self.inner.counters.found(*found));
        Some(found.into_iter().map(Ok).collect())
    }

    /// The prefix of one window.
    async fn prefix_of(&self, keys: &[Key]) -> Result<usize, Error> {
        let first_end = AtomicUsize::new(keys.len());
        let answers = each(keys.iter().enumerate(), self.window(), async |(index, key)| {
            if index > first_end.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let exists = self.inner.exists(key).await;
            if !matches!(exists, Ok(true)) {
                first_end.fetch_min(index, Ordering::Relaxed);
            }
            exists
        })
        .await;
        for (index, exists) in answers.into_iter().enumerate() {
            if !exists? {
                return Ok(index);
            }
        }
        Ok(keys.len())
    }
}
