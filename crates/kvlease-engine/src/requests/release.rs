//! Ending leases.

use std::time::Duration;

use kvlease_types::{Caller, LeaseId};

use super::part::PART;
use crate::{clock::now, shared::Shared};

impl Shared {
    /// See [`Engine::release`](crate::Engine::release).
    pub(crate) fn release(&self, caller: &Caller, ids: &[LeaseId]) -> Vec<Option<Duration>> {
        let mut held = Vec::with_capacity(ids.len());
        for part in ids.chunks(PART) {
            let mut state = self.state();
            let now = now();
            held.extend(part.iter().map(|id| state.catalog.release(caller, *id, now)));
        }
        held
    }

    /// See [`Engine::release_all`](crate::Engine::release_all).
    pub(crate) fn release_all(&self, caller: &Caller) -> Vec<Duration> {
        let mut held = Vec::new();
        loop {
            let part = self.state().catalog.release_oldest(caller, PART, now());
            match part {
                Some(part) => held.extend(part),
                None => return held,
            }
        }
    }
}
