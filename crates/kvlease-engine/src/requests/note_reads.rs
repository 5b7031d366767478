//! Reports of reads without a lease.

use super::part::PART;
use crate::{clock::now, shared::Shared};

impl Shared {
    /// See [`Engine::note_reads`](crate::Engine::note_reads).
    pub(crate) fn note_reads(&self, objects: &[(u32, u64)], reads: u64) -> Vec<bool> {
        self.counters.index_reads.add(reads);
        let fence = self.arena.lease_fence();
        let mut there = Vec::with_capacity(objects.len());
        for part in objects.chunks(PART) {
            let mut state = self.state();
            // The order of the last use, for the next start: a deadline that has passed.
            let now = now();
            there.extend(part.iter().map(|(slot, generation)| {
                let extents = state.catalog.note_read(*slot, *generation);
                extents.map(|extents| fence.raise(extents, now)).is_some()
            }));
        }
        there
    }
}
