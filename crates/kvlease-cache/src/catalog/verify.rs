//! Verification of objects' bytes.
//!
//! A restored object rests on a manifest entry: its bytes have to be verified before the first lease
//! is granted to a client. Bytes that were verified once may be changed later by any process that can
//! write to the arena. The catalog sees no bytes, so its user reads them, without a lease: an object
//! that is still there afterwards, under the same generation, was there all the time.

use kvlease_types::{ByteSize, SealedObject};

use super::Catalog;
use crate::{
    changes::ChangeKind,
    objects::{Object, State},
    outcome::ScrubCandidate,
};

impl Catalog {
    /// The next object to verify, from slot `from` on, and with `unverified` only one that was
    /// restored and not verified since; `None` behind the last one. Looks at no more than
    /// [`LIST_SCAN_MAX`](crate::LIST_SCAN_MAX) slots: the answer says where to go on.
    pub fn next_scrub_candidate(
        &self,
        from: u32,
        unverified: bool,
    ) -> (Option<ScrubCandidate>, Option<u32>) {
        let span = self.objects.span() as u32;
        let end = span.min(from.saturating_add(crate::LIST_SCAN_MAX as u32));
        for slot in from..end {
            let Some(object) = self.objects.get(slot) else { continue };
            if object.state == State::Sealed && !(unverified && object.verified) {
                return (Some(candidate(slot, object)), Some(slot + 1));
            }
        }
        (None, Some(end).filter(|end| *end < span))
    }

    /// The object of this name as one to verify; `None` if there is none, or it has another
    /// generation than the one that is meant.
    pub fn scrub_candidate(
        &self,
        bucket: &str,
        key: &str,
        generation: Option<u64>,
    ) -> Option<ScrubCandidate> {
        let slot = self.objects.find(bucket, key)?;
        let object = &self.objects[slot];
        let is_meant = generation.is_none_or(|generation| generation == object.generation);
        (object.state == State::Sealed && is_meant).then(|| candidate(slot, object))
    }

    /// Records that the bytes of this object match its checksum. Returns false if it has left
    /// meanwhile.
    pub fn record_verification(&mut self, slot: u32, generation: u64) -> bool {
        if !self.is_sealed(slot, generation) {
            return false;
        }
        if !std::mem::replace(&mut self.objects[slot].verified, true) {
            self.unverified -= 1;
            self.append_change(slot, ChangeKind::Verified, false);
        }
        true
    }

    /// Removes an object whose bytes do not match its checksum, and describes it to `describe`.
    /// Returns false if it has left meanwhile.
    pub fn remove_corrupt(
        &mut self,
        slot: u32,
        generation: u64,
        describe: impl FnOnce(&SealedObject<'_>),
    ) -> bool {
        if !self.is_sealed(slot, generation) {
            return false;
        }
        describe(&self.describe_sealed(slot));
        self.remove_sealed(slot, ChangeKind::Corrupt);
        true
    }

    pub(super) fn is_sealed(&self, slot: u32, generation: u64) -> bool {
        self.objects
            .get(slot)
            .is_some_and(|object| object.generation == generation && object.state == State::Sealed)
    }
}

fn candidate(slot: u32, object: &Object) -> ScrubCandidate {
    ScrubCandidate {
        slot,
        generation: object.generation,
        extents: object.extents.clone(),
        len: ByteSize::new(object.len),
        checksum: object.checksum,
        verified: object.verified,
    }
}
