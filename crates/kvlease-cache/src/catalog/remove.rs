//! Removal of objects by request.

use kvlease_types::RemoveRefused;

use super::Catalog;
use crate::{changes::ChangeKind, objects::State, references::ReferenceKind};

impl Catalog {
    /// Removes an object. It is unpublished at once; its extents are free when it has no reader and
    /// its departure was acknowledged. Its last reader is gone at the release of the last lease, or
    /// after the grace of one that expires.
    pub fn remove(&mut self, bucket: &str, key: &str) -> Result<(), RemoveRefused> {
        let slot = self.objects.find(bucket, key).ok_or(RemoveRefused::Absent)?;
        if self.objects[slot].state == State::Pending {
            return Err(RemoveRefused::Pending);
        }
        self.remove_sealed(slot, ChangeKind::Removed);
        Ok(())
    }

    /// Removes the sealed object in `slot`, for the reason that `kind` gives.
    pub(super) fn remove_sealed(&mut self, slot: u32, kind: ChangeKind) {
        self.note_reference(slot, ReferenceKind::Removed);
        match kind {
            ChangeKind::Expired => {
                self.totals.expired += 1;
                let class = self.objects[slot].class;
                self.classes.get_mut(class).totals.expired += 1;
            }
            _ => self.totals.removed += 1,
        }
        self.leave(slot);
        self.unpublish(slot);
        if self.objects[slot].is_evictable() {
            self.subtract_evictable(slot);
        }
        if self.objects[slot].is_unread() {
            self.depart(slot, kind);
        } else {
            self.append_change(slot, kind, false);
            self.objects[slot].state = State::Removed;
            self.removed.add(&self.objects[slot]);
        }
    }
}
