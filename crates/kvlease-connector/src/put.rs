//! Writes and removals.

use kvlease_http::{Error, PutBody, PutOutcome};
use kvlease_types::Key;

use super::Connector;

impl Connector {
    /// Stores an object, unless the key has one.
    ///
    /// # Errors
    ///
    /// Those of [`Client::put`](kvlease_http::Client::put); [`Error::Closed`].
    pub async fn put(&self, key: &Key, body: impl Into<PutBody>) -> Result<PutOutcome, Error> {
        self.ensure_open()?;
        let stored = self.put_each(&mut [(key, body.into())]).await.pop();
        stored.expect("one answer for one object")
    }

    /// Stores many objects.
    pub async fn batched_put(
        &self,
        objects: Vec<(Key, PutBody)>,
    ) -> Vec<Result<PutOutcome, Error>> {
        if let Some(refused) = self.refused(objects.len()) {
            return refused;
        }
        let (keys, bodies): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        let mut objects: Vec<_> = keys.iter().zip(bodies).collect();
        self.put_each(&mut objects).await
    }

    /// Removes many objects; `false` for what was not there, and for a daemon that removes none.
    pub async fn batched_remove(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if let Some(refused) = self.refused(keys.len()) {
            return refused;
        }
        let keys: Vec<&Key> = keys.iter().collect();
        // A cached lease would keep the bytes, and a reader would still get them.
        drop(self.inner.cache.take_each(&keys));
        self.inner.backends.remove(&keys).await
    }

    pub(super) async fn put_each(
        &self,
        objects: &mut [(&Key, PutBody)],
    ) -> Vec<Result<PutOutcome, Error>> {
        // A body that was sent does not know its length any more.
        let lens: Vec<_> = objects.iter().map(|(_, body)| body.len()).collect();
        let stored = self.inner.backends.put(objects).await;
        let counters = &self.inner.terms.counters;
        stored.into_iter().zip(lens).map(|(stored, len)| counters.put(stored, len)).collect()
    }
}
