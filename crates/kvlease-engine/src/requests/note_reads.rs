//! Reports of reads without a lease.

use kvlease_types::{BucketName, Caller, Key};

use super::part::PART;
use crate::{capture::Capture, clock::now, shared::Shared};

impl Shared {
    /// See [`Engine::note_reads`](crate::Engine::note_reads).
    pub(crate) fn note_reads(
        &self,
        caller: &Caller,
        objects: &[(u32, u64)],
        reads: u64,
    ) -> Vec<bool> {
        self.counters.index_reads.add(reads);
        let fence = self.arena.lease_fence();
        let mut there = Vec::with_capacity(objects.len());
        for part in objects.chunks(PART) {
            let mut state = self.state();
            // The order of the last use, for the next start: a deadline that has passed.
            let now = now();
            let first = there.len();
            there.extend(part.iter().map(|(slot, generation)| {
                let extents = state.catalog.note_read(*slot, *generation);
                extents.map(|extents| fence.raise(extents, now)).is_some()
            }));
            if let Some(capture) = &self.capture {
                let read = part.iter().zip(&there[first..]).filter(|(_, there)| **there);
                let named = read.filter_map(|((slot, _), _)| {
                    let (bucket, key, len) = state.catalog.name_of(*slot)?;
                    Some((bucket.clone(), key.clone(), len.bytes()))
                });
                let named: Vec<_> = named.collect();
                drop(state);
                note_in_capture(capture, caller, &named);
            }
        }
        there
    }
}

/// Puts reads down, those of one bucket after the other's together.
fn note_in_capture(capture: &Capture, caller: &Caller, read: &[(BucketName, Key, u64)]) {
    for objects in read.chunk_by(|one, next| one.0 == next.0) {
        let keys = objects.iter().map(|(_, key, len)| (key, *len));
        capture.read_by_index(caller, objects[0].0.as_str(), keys);
    }
}
