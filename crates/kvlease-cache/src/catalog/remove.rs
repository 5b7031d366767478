//! Removing objects: by request, and the steps that eviction shares with it.

use kvlease_types::RemoveRefused;

use super::Catalog;
use crate::objects::State;

impl Catalog {
    /// Removes an object. It is invisible at once; its extents are free when nobody may read it
    /// any more: at the release of its last lease, or after the grace of one that expires.
    pub fn remove(&mut self, bucket: &str, key: &str) -> Result<(), RemoveRefused> {
        let slot = self.objects.find(bucket, key).ok_or(RemoveRefused::Absent)?;
        if self.objects[slot].state == State::Writing {
            return Err(RemoveRefused::Pending);
        }
        self.remove_sealed(slot);
        Ok(())
    }

    /// Removes the object that is visible in `slot`.
    pub(super) fn remove_sealed(&mut self, slot: u32) {
        self.totals.removed += 1;
        self.policy.remove(slot);
        if self.objects[slot].is_evictable() {
            self.evictable.subtract(&self.objects[slot]);
            self.conceal(slot);
            self.free_object(slot);
        } else {
            self.conceal(slot);
            self.objects[slot].state = State::Removed;
            self.removed.add(&self.objects[slot]);
        }
    }

    /// Makes a sealed object invisible.
    pub(super) fn conceal(&mut self, slot: u32) {
        if let Some(watch) = &mut self.watch {
            watch.concealed(slot);
        }
        let object = &self.objects[slot];
        self.unverified -= u64::from(!object.verified);
        self.sealed.subtract(object);
        let (bucket, len) = (object.bucket, object.len);
        let bucket = self.objects.bucket_mut(bucket);
        bucket.objects -= 1;
        bucket.stored -= len;
        self.objects.unname(slot);
    }

    /// Frees the slot and the extents of an object that is counted nowhere any more.
    pub(super) fn free_object(&mut self, slot: u32) {
        let object = self.objects.remove(slot);
        if object.state != State::Writing
            && let Some(watch) = &mut self.watch
        {
            watch.freed(slot);
        }
        self.space.release(object.allocation);
    }
}
