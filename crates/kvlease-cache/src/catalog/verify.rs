//! Whose bytes are known to be there.
//!
//! What was restored is only what a record says: the bytes themselves have to be looked at before
//! anybody is told where they are. And what was looked at once may have been changed since by
//! whoever can write to the arena. The catalog sees no bytes, so others look, without a lease: an
//! object that is still there afterwards, under the same generation, was there all the time.

use kvlease_types::{ByteSize, SealedObject};

use super::Catalog;
use crate::{objects::State, outcome::Suspect};

impl Catalog {
    /// The next object to look at, from slot `from` on, and with `unverified` only one that nobody
    /// has looked at since it was restored; `None` behind the last one. Looks at no more than
    /// [`LIST_SCAN_MAX`](crate::LIST_SCAN_MAX) slots: the answer says where to go on.
    pub fn next_suspect(&self, from: u32, unverified: bool) -> (Option<Suspect>, Option<u32>) {
        let span = self.objects.span() as u32;
        let end = span.min(from.saturating_add(crate::LIST_SCAN_MAX as u32));
        for slot in from..end {
            let Some(object) = self.objects.get(slot) else { continue };
            if object.state == State::Sealed && !(unverified && object.verified) {
                let suspect = Suspect {
                    slot,
                    generation: object.generation,
                    extents: object.extents.clone(),
                    len: ByteSize::new(object.len),
                    checksum: object.checksum,
                };
                return (Some(suspect), Some(slot + 1));
            }
        }
        (None, Some(end).filter(|end| *end < span))
    }

    /// The bytes of this object were found to be those that were stored. Returns false if it has
    /// left meanwhile.
    pub fn verified(&mut self, slot: u32, generation: u64) -> bool {
        if !self.is_sealed(slot, generation) {
            return false;
        }
        let object = &mut self.objects[slot];
        self.unverified -= u64::from(!object.verified);
        object.verified = true;
        true
    }

    /// The bytes of this object were found to be others than those that were stored: removes it,
    /// and tells `describe` whom this concerns. Returns false if it has left meanwhile.
    pub fn condemn(
        &mut self,
        slot: u32,
        generation: u64,
        describe: impl FnOnce(&SealedObject<'_>),
    ) -> bool {
        if !self.is_sealed(slot, generation) {
            return false;
        }
        describe(&self.objects.describe(slot));
        self.remove_sealed(slot);
        true
    }

    fn is_sealed(&self, slot: u32, generation: u64) -> bool {
        self.objects
            .get(slot)
            .is_some_and(|object| object.generation == generation && object.state == State::Sealed)
    }
}
