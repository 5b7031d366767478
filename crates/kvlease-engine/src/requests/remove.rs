//! Removing objects.

use kvlease_types::{Caller, RemoveRefused};

use super::part::PART;
use crate::shared::Shared;

impl Shared {
    /// See [`Engine::remove`](crate::Engine::remove).
    pub(crate) fn remove(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
    ) -> Vec<Result<(), RemoveRefused>> {
        tracing::debug!(%caller, bucket, keys = keys.len(), "a removal");
        let mut outcomes = Vec::with_capacity(keys.len());
        for part in keys.chunks(PART) {
            let mut state = self.state();
            outcomes.extend(part.iter().map(|key| state.catalog.remove(bucket, key)));
        }
        outcomes
    }
}
