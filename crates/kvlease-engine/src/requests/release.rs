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
}
