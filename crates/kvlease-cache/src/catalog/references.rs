//! References to objects, for those who watch a sample of them.

use kvlease_types::ByteSize;

use super::{Catalog, unit_bytes};
use crate::references::{ReferenceKind, References};

impl Catalog {
    /// Notes references from now on, to the objects whose name has at most this hash. They are to be
    /// [taken](Self::take_references) before they are too many.
    pub fn watch_references(&mut self, hash_max: u64) {
        self.references.watch(hash_max);
    }

    /// Exchanges the references that were noted for a batch that was worked through.
    pub fn take_references(&mut self, batch: &mut References) {
        self.references.take(batch);
    }

    /// The part of the arena that objects which can be evicted may fill.
    pub fn evictable_capacity(&self) -> ByteSize {
        let free = u64::from(self.free_target());
        unit_bytes(u64::from(self.capacity).saturating_sub(self.retained_units + free))
    }

    /// Notes a reference to the object in this slot, unless it is retained.
    pub(super) fn note_reference(&mut self, slot: u32, kind: ReferenceKind) {
        let object = &self.objects[slot];
        if !object.retained {
            self.references.note(object.hash, object.allocation.units, kind);
        }
    }
}
