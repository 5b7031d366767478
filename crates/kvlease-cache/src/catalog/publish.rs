//! Publishing and unpublishing, and the change log that reports both.

use kvlease_types::{ByteSize, SealedObject};

use super::Catalog;
use crate::{
    changes::{Change, ChangeKind},
    objects::State,
};

impl Catalog {
    /// Moves the changes that were not taken yet into `batch`, which must be empty. They are to be
    /// applied in this order, and [acknowledged](Self::acknowledge).
    pub fn take_changes(&mut self, batch: &mut Vec<Change>) {
        self.log.take(batch);
    }

    /// Whether there are changes to be taken.
    pub const fn has_changes(&self) -> bool {
        !self.log.is_empty()
    }

    /// Sequence number of the change appended last; 0 if there was none.
    pub const fn last_change(&self) -> u64 {
        self.log.appended()
    }

    /// Frees the slots and extents of the objects whose departure has a number up to `sequence`:
    /// the required readers have applied these changes.
    ///
    /// # Panics
    ///
    /// If a change up to `sequence` was not taken.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.log.acknowledge(sequence);
        while let Some(&(at, slot)) = self.departures.front()
            && at <= sequence
        {
            self.departures.pop_front();
            self.departed.subtract(&self.objects[slot]);
            self.free_object(slot);
        }
    }

    /// Takes and acknowledges all changes at once: a drain without readers.
    pub fn discard_changes(&mut self) {
        self.report_all(&mut |_| ());
    }

    /// Publishes a sealed object.
    pub(super) fn publish(&mut self, slot: u32, kind: ChangeKind) {
        self.append_change(slot, kind, false);
        self.sealed.add(&self.objects[slot]);
        self.join_class(slot);
        self.enter(slot);
        let object = &self.objects[slot];
        if object.is_kept() {
            self.policy.pin(slot);
        }
        if object.retained {
            self.retained_units += u64::from(object.allocation.units);
        }
        let (bucket, len) = (object.bucket, object.len);
        let bucket = self.objects.bucket_mut(bucket);
        bucket.objects += 1;
        bucket.stored += len;
    }

    /// Unpublishes a sealed object. The change that says why must follow.
    pub(super) fn unpublish(&mut self, slot: u32) {
        let object = &self.objects[slot];
        self.unverified -= u64::from(!object.verified);
        self.sealed.subtract(object);
        if object.retained {
            self.retained_units -= u64::from(object.allocation.units);
        }
        let (bucket, len) = (object.bucket, object.len);
        self.leave_class(slot);
        let bucket = self.objects.bucket_mut(bucket);
        bucket.objects -= 1;
        bucket.stored -= len;
        self.objects.remove_name(slot);
    }

    /// Lets an object go that is unpublished and has no reader: it is free once the change that
    /// is appended here was acknowledged.
    pub(super) fn depart(&mut self, slot: u32, kind: ChangeKind) {
        self.unhold(slot);
        self.departures.push_back((self.log.next(), slot));
        self.append_change(slot, kind, true);
        self.objects[slot].state = State::Departed;
        self.departed.add(&self.objects[slot]);
    }

    /// Frees the slot and the extents of an object that is counted nowhere any more.
    pub(super) fn free_object(&mut self, slot: u32) {
        let object = self.objects.remove(slot);
        self.space.release(object.allocation);
    }

    pub(super) fn append_change(&mut self, slot: u32, kind: ChangeKind, freed: bool) {
        let object = &self.objects[slot];
        self.log.append(Change {
            sequence: self.log.next(),
            kind,
            slot,
            freed,
            bucket: self.objects.bucket(object.bucket).name.clone(),
            key: object.key.clone(),
            extents: object.extents.clone(),
            len: ByteSize::new(object.len),
            checksum: object.checksum,
            generation: object.generation,
            created: object.created,
        });
    }

    /// Reports all changes in place of a drain.
    pub(super) fn report_all(&mut self, report: &mut impl FnMut(&Change)) {
        self.log.report(report);
        self.acknowledge(self.last_change());
    }

    /// A sealed object as a manifest stores it.
    pub(super) fn describe_sealed(&self, slot: u32) -> SealedObject<'_> {
        let object = &self.objects[slot];
        SealedObject {
            bucket: self.objects.bucket(object.bucket).name.as_str(),
            key: object.key.as_str(),
            extents: &object.extents,
            len: ByteSize::new(object.len),
            checksum: object.checksum,
            generation: object.generation,
            created: object.created,
        }
    }
}
