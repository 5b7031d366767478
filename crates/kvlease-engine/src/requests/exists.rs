//! Looking objects up without a lease.

use kvlease_types::{Caller, Mode};

use super::part::PART;
use crate::shared::Shared;

impl Shared {
    /// See [`Engine::exists`](crate::Engine::exists).
    pub(crate) fn exists(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
    ) -> Vec<bool> {
        tracing::trace!(%caller, bucket, keys = keys.len(), "a look-up");
        let mut found = Vec::with_capacity(keys.len());
        for part in keys.chunks(PART) {
            let first = found.len();
            self.state().catalog.contains_many(bucket, part, |there| found.push(there));
            if mode == Mode::Prefix
                && let Some(miss) = found[first..].iter().position(|there| !there)
            {
                found.truncate(first + miss + 1);
                break;
            }
        }
        found
    }
}
