//! Looking objects up without a lease.

use kvlease_types::{Caller, Mode};
use tokio::time::Instant;

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
            if !self.tiers.is_empty() {
                for (there, key) in found[first..].iter_mut().zip(part) {
                    *there = *there || self.tiers.hold(bucket, key);
                }
            }
            if mode == Mode::Prefix
                && let Some(miss) = found[first..].iter().position(|there| !there)
            {
                found.truncate(first + miss + 1);
                break;
            }
        }
        found
    }

    /// Whether the arena has each object, in order, whatever tiers have.
    pub(crate) fn are_in_arena(&self, bucket: &str, keys: &[&str]) -> Vec<bool> {
        let mut found = Vec::with_capacity(keys.len());
        for part in keys.chunks(PART) {
            self.state().catalog.contains_many(bucket, part, |there| found.push(there));
        }
        found
    }

    /// Whether a tier has to be asked to know more than [`exists`](Self::exists) `found` of these keys.
    pub(crate) fn has_to_ask(&self, bucket: &str, keys: &[&str], found: &[bool]) -> bool {
        let missing = keys.iter().zip(found).filter(|(_, there)| !**there);
        missing.into_iter().any(|(key, _)| self.tiers.has_to_be_asked(bucket, key))
    }

    /// See [`Engine::exists_or_ask`](crate::Engine::exists_or_ask).
    pub(crate) async fn exists_or_ask(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        until: Instant,
    ) -> Vec<bool> {
        let mut found = self.exists(caller, bucket, keys, mode);
        if !self.has_to_ask(bucket, keys, &found) {
            return found;
        }
        if mode == Mode::Prefix {
            // What follows the first miss was not looked up.
            let known = found.len();
            found.extend(self.exists(caller, bucket, &keys[known..], Mode::Each));
        }
        let asked = self.ask_tiers(bucket, keys, 0, until).await;
        for (place, there) in found.iter_mut().enumerate() {
            *there = *there || asked.found(place).is_some();
        }
        if mode == Mode::Prefix
            && let Some(miss) = found.iter().position(|there| !there)
        {
            found.truncate(miss + 1);
        }
        found
    }
}
