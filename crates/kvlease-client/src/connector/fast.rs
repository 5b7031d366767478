//! Reads and look-ups over the fast lane: many keys in one round trip.
//!
//! Each of these answers `None` where the lane is not there or breaks on the way: then the keys are
//! asked for over HTTP, as if nothing had happened.

use std::{borrow::Borrow, sync::Arc, time::Instant};

use kvlease_types::Key;

use super::{Inner, OpenObject, grant::Grant, inner::Reading, leased::Leased, object::Source};
use crate::{
    Error,
    lane::{Found, Lane},
};

/// What each key came to.
type Answers<T> = Vec<Result<T, Error>>;

impl Inner {
    /// The fast lane, if it is taken.
    pub(super) async fn lane(&self) -> Option<Lane> {
        self.negotiation.lane(&self.client, &self.config).await
    }

    /// Finds objects and reads their heads.
    pub(super) async fn open_fast(
        self: &Arc<Self>,
        keys: &[Key],
        head_len: usize,
    ) -> Option<Answers<Option<OpenObject>>> {
        let lane = self.lane().await?;
        let mut held = self.held.take_each(keys);
        let wanted = keys.iter().zip(&held).filter(|(_, held)| held.is_none());
        let wanted: Vec<&Key> = wanted.map(|(key, _)| key).collect();
        let mut leased = self.acquire_fast(&lane, &wanted, false).await?.into_iter();
        let open = |(key, held): (&Key, &mut Option<Leased>)| {
            let leased = match held.take() {
                Some(held) => Ok(Some(held)),
                None => leased.next().unwrap_or(Ok(None)),
            };
            let opened = leased.and_then(|leased| self.open_leased(key, leased, head_len));
            if let Ok(opened) = &opened {
                self.counters.found(opened.is_some());
            }
            opened
        };
        Some(keys.iter().zip(&mut held).map(open).collect())
    }

    fn open_leased(
        self: &Arc<Self>,
        key: &Key,
        leased: Option<Leased>,
        head_len: usize,
    ) -> Result<Option<OpenObject>, Error> {
        let Some(mut leased) = leased else { return Ok(None) };
        let reading = Reading::new(&self.reads);
        let head = leased.read_head(key, head_len)?;
        let (inner, key, len) = (Arc::clone(self), key.clone(), leased.lease.len());
        let source = Source::Leased(leased);
        Ok(Some(OpenObject { inner, key, len, head, source, reading }))
    }

    /// Leases objects that are not too large. With `prefix` up to the first that cannot be.
    async fn acquire_fast(
        &self,
        lane: &Lane,
        keys: &[impl Borrow<Key>],
        prefix: bool,
    ) -> Option<Answers<Option<Leased>>> {
        let config = &self.config;
        let (wait, ttl) = (config.lease_wait, config.lease_ttl);
        let limit = config.client.timeouts.lease(wait);
        let found = lane.acquire(keys, prefix, wait, ttl, limit).await.ok()?;
        let leased = |(found, key): (Found, &_)| match found {
            Found::Leased(lease) if config.lease_len_max.is_some_and(|max| lease.len() > max) => {
                self.counters.too_large.one();
                Ok(None)
            }
            Found::Leased(lease) => {
                let (lease, attachment) = (Grant::Lane(lease), Arc::clone(lane.attachment()));
                Leased::new(Borrow::borrow(key), lease, attachment).map(Some)
            }
            Found::Absent | Found::Full => Ok(None),
        };
        Some(found.into_iter().zip(keys).map(leased).collect())
    }

    /// Which objects exist, without counting; with `prefix` up to the first that does not.
    pub(super) async fn exists_fast(&self, keys: &[Key], prefix: bool) -> Option<Vec<bool>> {
        let lane = self.lane().await?;
        if self.config.lease_len_max.is_some() {
            // Only a lease tells the length.
            let leased = self.acquire_fast(&lane, keys, prefix).await?;
            return Some(leased.into_iter().map(|leased| matches!(leased, Ok(Some(_)))).collect());
        }
        lane.exists(keys, prefix, self.config.client.timeouts.call).await.ok()
    }

    /// Which objects exist; the leases of those that do are held for the reads that follow.
    pub(super) async fn hold_fast(self: &Arc<Self>, keys: &[Key]) -> Option<Vec<bool>> {
        let lane = self.lane().await?;
        let mut held: Vec<bool> =
            keys.iter().map(|key| self.held.again(key, self.config.lease_retention)).collect();
        let places: Vec<usize> = (0..keys.len()).filter(|place| !held[*place]).collect();
        let wanted: Vec<&Key> = places.iter().map(|place| &keys[*place]).collect();
        let asked = Instant::now();
        let leased = self.acquire_fast(&lane, &wanted, false).await?;
        for (place, leased) in places.into_iter().zip(leased) {
            if let Ok(Some(leased)) = leased {
                self.held.put(self, &keys[place], leased, asked);
                held[place] = true;
            }
        }
        Some(held)
    }

    /// Removes objects.
    pub(super) async fn remove_fast(&self, keys: &[Key]) -> Option<Vec<bool>> {
        let lane = self.lane().await?;
        lane.remove(keys, self.config.client.timeouts.call).await.ok()
    }
}
