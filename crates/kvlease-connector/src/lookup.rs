//! Look-ups.

use std::time::Instant;

use kvlease_http::Error;
use kvlease_types::{ByteSize, Key};

use super::{
    Connector,
    backend::Answers,
    groups::{Grouped, names_of_ranks},
    lease_cache::CACHED_LEASES_MAX,
};

impl Connector {
    /// Whether an object exists.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Closed`].
    pub async fn exists(&self, key: &Key) -> Result<bool, Error> {
        self.ensure_open()?;
        let exists = self.exists_each(&[key]).await.pop();
        exists.expect("one answer for one key")
    }

    /// Which of many objects exist.
    pub async fn batched_exists(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        self.exists_each(&keys.iter().collect::<Vec<_>>()).await
    }

    /// Whether the daemon's published index names an object. No call is made, and nothing is waited
    /// for: `false` says nothing, and is what a connector without an index says.
    pub fn is_indexed(&self, key: &Key) -> bool {
        let found = self.ensure_open().is_ok()
            && if self.by_groups() {
                self.is_indexed_whole(key.as_str())
            } else {
                self.inner.backends.finds_in_index(key)
            };
        if found {
            self.inner.terms.counters.found(true);
        }
        found
    }

    /// Length of an object that the daemon's published index names. As of [`Self::is_indexed`], `None` says
    /// nothing; the object is not counted as found.
    pub fn indexed_len(&self, key: &Key) -> Option<ByteSize> {
        self.ensure_open().ok()?;
        self.inner.backends.indexed_len(key)
    }

    /// How many of the keys name objects of the daemon's published index, before the first that does not.
    /// They are counted as found. No call is made: ask for the keys behind them with
    /// [`Self::lookup_prefix`].
    pub fn indexed_prefix<'k>(&self, keys: impl Iterator<Item = &'k str>) -> usize {
        if self.ensure_open().is_err() {
            return 0;
        }
        let count = match self.by_groups() {
            false => self.inner.backends.count_indexed(keys),
            true => keys.take_while(|key| self.is_indexed_whole(key)).count(),
        };
        self.inner.terms.counters.hits.add(count as u64);
        count
    }

    /// Tells the daemon, within a moment and without waiting for it, that objects were used: those that
    /// its published index names. Returns how many they are.
    pub fn touch(&self, keys: &[Key]) -> usize {
        if self.ensure_open().is_ok() { self.inner.backends.touch(keys) } else { 0 }
    }

    /// Which of many objects exist. The leases of those that do are kept for the reads that follow,
    /// for [`ConnectorConfig::lease_retention`](super::ConnectorConfig::lease_retention) and half
    /// the life of each lease at most.
    pub async fn prefetch_leases(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        let mut found = Vec::with_capacity(keys.len());
        // No more is leased at a time than can be kept.
        for keys in keys.chunks(CACHED_LEASES_MAX) {
            found.extend(self.prefetch_each(keys).await);
        }
        found
    }

    /// How many objects exist before the first one that does not.
    ///
    /// # Errors
    ///
    /// Those of any call, if one fails before the first miss.
    pub async fn lookup_prefix(&self, keys: &[Key]) -> Result<usize, Error> {
        self.ensure_open()?;
        let count = if self.by_groups() {
            let grouped = Grouped::new(keys.iter());
            grouped.count_whole(self.inner.backends.count_prefix(&grouped.keys).await?)
        } else {
            self.inner.backends.count_prefix(keys).await?
        };
        let counters = &self.inner.terms.counters;
        counters.hits.add(count as u64);
        counters.misses.add(u64::from(count < keys.len()));
        Ok(count)
    }

    async fn exists_each(&self, keys: &[&Key]) -> Answers<bool> {
        let found = if self.by_groups() {
            let grouped = Grouped::new(keys.iter().copied());
            let names: Vec<&Key> = grouped.keys.iter().collect();
            grouped.whole(self.inner.backends.exists(&names).await)
        } else {
            self.inner.backends.exists(keys).await
        };
        self.count_found(&found);
        found
    }

    /// Whether look-ups are for the groups of keys.
    fn by_groups(&self) -> bool {
        self.inner.terms.config.groups
    }

    /// Whether the published index names the objects of all ranks.
    fn is_indexed_whole(&self, key: &str) -> bool {
        let names: Vec<String> = names_of_ranks(key).collect();
        self.inner.backends.count_indexed(names.iter().map(String::as_str)) == names.len()
    }

    async fn prefetch_each(&self, keys: &[Key]) -> Answers<bool> {
        let cache = &self.inner.cache;
        let mut found: Answers<bool> = keys.iter().map(|key| Ok(cache.extend(key))).collect();
        let missing = |place: &usize| matches!(found[*place], Ok(false));
        let places: Vec<usize> = (0..keys.len()).filter(missing).collect();
        let wanted: Vec<&Key> = places.iter().map(|place| &keys[*place]).collect();
        let asked = Instant::now();
        let leases = self.inner.backends.acquire(&wanted).await;
        // What cannot be leased, as without shared memory or for want of room, can still be looked up.
        let mut unleased = places[leases.len()..].to_vec();
        for (place, lease) in places.iter().zip(leases) {
            if matches!(lease, Err(Error::StillWriting { .. })) {
                unleased.push(*place);
                continue;
            }
            let key = &keys[*place];
            found[*place] = lease.and_then(|lease| {
                let Some(lease) = lease else { return Ok(false) };
                lease.ensure_bounds(key)?;
                cache.insert(key, lease, asked);
                Ok(true)
            });
        }
        let wanted: Vec<&Key> = unleased.iter().map(|place| &keys[*place]).collect();
        if !wanted.is_empty() {
            let exist = self.inner.backends.exists(&wanted).await;
            unleased.into_iter().zip(exist).for_each(|(place, exists)| found[place] = exists);
        }
        self.count_found(&found);
        found
    }

    fn count_found(&self, found: &Answers<bool>) {
        let answered = found.iter().flatten();
        answered.for_each(|found| self.inner.terms.counters.found(*found));
    }
}
