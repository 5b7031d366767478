//! Reads without a lease, by the published index.

use std::sync::Arc;

use kvlease_attach::{GenerationsView, IndexView};
use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::Epoch;

use super::{
    clients::{Copy, Peeker},
    world::{BUCKET, CALLER, LEN_MAX, Stored, World},
};
use crate::shared::Shared;

/// Mappings of a client, of one incarnation.
#[derive(Debug)]
pub(super) struct Views {
    index: IndexView,
    generations: GenerationsView,
}

impl Views {
    pub(super) fn of(daemon: &Shared, epoch: u64) -> Arc<Self> {
        let (index, generations) = (&daemon.index, &daemon.generations);
        let descriptor = index.descriptor().try_clone_to_owned().unwrap();
        let incarnation = (daemon.arena.incarnation().share().unwrap(), Epoch::new(epoch));
        let index = (descriptor, index.slots(), index.key());
        let generations = generations.descriptor().try_clone_to_owned().unwrap();
        Arc::new(Self {
            index: IndexView::from_descriptors(index, incarnation, BUCKET).unwrap(),
            generations: GenerationsView::from_descriptor(generations).unwrap(),
        })
    }
}

impl World {
    /// A client finds an object by the index, of this incarnation or of the one before it.
    pub(super) fn peek(&mut self) {
        let key = self.key();
        let views = Arc::clone(&self.views);
        let found = views.index.find(&key);
        // The index of an earlier daemon names what that one had.
        if !views.index.is_current() {
            self.views = Views::of(self.daemon(), self.epoch);
            return;
        }
        let Some(object) = found else {
            assert!(!self.stored.contains_key(&key), "{key} is there and not published");
            return;
        };
        let Stored { version } = self.stored[&key];
        if object.leased_only {
            self.seen.leased_only += 1;
            return;
        }
        self.peekers.push(Peeker {
            views,
            slot: object.slot,
            generation: object.generation,
            version,
            checksum: object.checksum,
            copy: Copy { extents: vec![object.extent], bytes: Vec::new() },
        });
        let noted = self.daemon().note_reads(&CALLER, &[(object.slot, object.generation)], 1);
        assert_eq!(noted, [true], "{key} is there and not noted");
    }

    pub(super) fn go_on_peeking(&mut self) {
        let Some(mut peeker) = self.draws.take(&mut self.peekers) else { return };
        let all = peeker.copy.copy(&self.segment, self.draws.below(LEN_MAX / 4) as usize);
        if !all {
            return self.peekers.push(peeker);
        }
        let Views { index, generations } = &*peeker.views;
        let is_live = generations.get(peeker.slot) == peeker.generation && index.is_current();
        if !is_live {
            self.seen.peeked_too_late += 1;
            return;
        }
        let right = peeker.copy.bytes == bytes(peeker.copy.bytes.len(), peeker.version);
        assert!(
            right || self.flipped.contains(&peeker.version),
            "version {} was read without a lease, and is another object",
            peeker.version
        );
        assert!(!right || Digest::of(&peeker.copy.bytes) == peeker.checksum);
        self.seen.peeked += 1;
    }
}
