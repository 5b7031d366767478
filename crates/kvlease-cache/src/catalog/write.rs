//! Writes: reserve, extend, seal, abort.

use std::hint::black_box;

use kvlease_types::{BucketName, ByteSize, Checksum, Key, Timestamp, WriteRefused};

use super::{Catalog, unit_bytes, units_for};
use crate::{
    changes::ChangeKind,
    extents::Extents,
    objects::{Object, Objects, State},
    outcome::{Reservation, Room, WriteId},
    quotas::Amount,
    references::ReferenceKind,
    space::Allocation,
};

impl Catalog {
    /// Reserves space for a new object, evicting unleased objects as needed. The object is not
    /// published until it is sealed; nothing else can be written under its name meanwhile.
    ///
    /// All or nothing: a refusal has evicted nothing. [`Room::AfterDrain`] asks to drain the change
    /// log and to call again: space that eviction made is free only after that.
    pub fn reserve(
        &mut self,
        bucket: &BucketName,
        key: &Key,
        len: ByteSize,
        now: Timestamp,
    ) -> Result<Room<Reservation>, WriteRefused> {
        self.reserve_first(bucket, key, (len, len), now)
    }

    /// Reserves space for the `first` bytes of an object of `len`, if space for all of it can be
    /// had: [`extend`](Self::extend) reserves the rest. Otherwise as [`reserve`](Self::reserve).
    pub fn reserve_first(
        &mut self,
        bucket: &BucketName,
        key: &Key,
        (first, len): (ByteSize, ByteSize),
        now: Timestamp,
    ) -> Result<Room<Reservation>, WriteRefused> {
        let hash = self.objects.hash(bucket.as_str(), key.as_str());
        if self.classes.have_ttl() {
            if self.log.is_full() {
                return Ok(Room::AfterDrain);
            }
            self.remove_expired(hash, bucket, key, now);
        }
        self.ensure_vacant(hash, bucket, key)?;
        // Sealing looks there: the waits for memory go on beside what follows.
        let group = self.objects.group_hash(bucket.as_str(), key.as_str());
        let in_groups = group.map_or(0, |group| self.groups.prefetch(group.get()));
        black_box(in_groups ^ self.gone.prefetch(hash));
        // Refuse before anything is evicted.
        let all = self.units_within(len.max(first))?;
        let mut allocation = Allocation::default();
        let known = self.objects.find_bucket(bucket.as_str());
        let class = self.class_of(bucket, known);
        let more = Amount { objects: 1, units: all.into() };
        if self.check_quota(class, more, now)? == Room::AfterDrain {
            return Ok(Room::AfterDrain);
        }
        if self.check_space(&allocation, all, Some(class), now)? == Room::AfterDrain {
            return Ok(Room::AfterDrain);
        }
        let names = self.objects.bucket_growth(bucket, known) + Objects::heap_bytes(key, 0);
        let bytes = names + Self::claim_bytes();
        self.check_memory(bytes + self.slot_bytes())?;
        // Make room, and take it.
        if !self.make_quota(class, more)? || !self.make_slot(bytes, Some(class))? {
            return Ok(Room::AfterDrain);
        }
        let slot = self.objects.next_slot();
        let units = self.units_within(first)?;
        if !self.claim(&mut allocation, slot, units, Some(class))? {
            return Ok(Room::AfterDrain);
        }
        self.generation += 1;
        let generation = self.generation;
        self.objects.insert(hash, (bucket, known), key.clone(), first.bytes(), generation);
        let object = &mut self.objects[slot];
        (object.group_hash, object.knows_group) = (group, true);
        object.allocation = allocation;
        self.join_account(slot, class);
        self.pending.add(&self.objects[slot]);
        let extents = self.extents_of(slot, 0, first.bytes());
        Ok(Room::Given(Reservation { id: WriteId { slot, generation }, extents }))
    }

    /// Reserves `more` bytes behind those that the write has, for a body of unknown length.
    ///
    /// The answer is where the further bytes go. All or nothing: a refusal has evicted nothing,
    /// and what was reserved before stays. [`Room::AfterDrain`] as in [`reserve`](Self::reserve).
    pub fn extend(
        &mut self,
        id: WriteId,
        more: ByteSize,
        now: Timestamp,
    ) -> Result<Room<Extents>, WriteRefused> {
        let slot = self.write(id).ok_or(WriteRefused::Unknown)?;
        let len = self.objects[slot].len;
        let total = len.saturating_add(more.bytes());
        let units = self.units_within(ByteSize::new(total))?;
        let Object { class, allocation: Allocation { units: had, .. }, .. } = self.objects[slot];
        let further = Amount { objects: 0, units: units.saturating_sub(had).into() };
        if self.check_quota(class, further, now)? == Room::AfterDrain {
            return Ok(Room::AfterDrain);
        }
        if !self.make_quota(class, further)? {
            return Ok(Room::AfterDrain);
        }
        // The object is counted nowhere while its allocation, which cannot be copied, is out of it.
        self.unhold(slot);
        let object = &mut self.objects[slot];
        self.pending.subtract(object);
        let memory = object.memory();
        let mut allocation = std::mem::take(&mut object.allocation);
        let room = self.extend_allocation(&mut allocation, (slot, class), units, memory, now);
        let object = &mut self.objects[slot];
        object.allocation = allocation;
        if room == Ok(Room::Given(())) {
            object.len = total;
        }
        self.pending.add(object);
        self.hold(slot);
        Ok(room?.map(|()| self.extents_of(slot, len, total)))
    }

    /// Makes an allocation `units` long. Its object, whose memory beside the slot is `memory`, is
    /// counted nowhere meanwhile.
    fn extend_allocation(
        &mut self,
        allocation: &mut Allocation,
        (slot, class): (u32, u8),
        units: u32,
        memory: usize,
        now: Timestamp,
    ) -> Result<Room<()>, WriteRefused> {
        let further = units - allocation.units.min(units);
        if self.check_space(allocation, further, Some(class), now)? == Room::AfterDrain {
            return Ok(Room::AfterDrain);
        }
        let bytes = memory + Self::claim_bytes();
        self.check_memory(bytes)?;
        self.make_memory(bytes, Some(class))?;
        let claimed = self.claim(allocation, slot, further, Some(class))?;
        Ok(if claimed { Room::Given(()) } else { Room::AfterDrain })
    }

    /// Publishes the first `len` bytes of a write as the object; what was reserved beyond them is
    /// free again.
    pub fn seal(
        &mut self,
        id: WriteId,
        len: ByteSize,
        checksum: Checksum,
        now: Timestamp,
    ) -> Result<(), WriteRefused> {
        let slot = self.write(id).ok_or(WriteRefused::Unknown)?;
        assert!(!self.objects[slot].is_spare(), "a spare object is sealed with its name");
        let len = len.bytes();
        let reserved = self.objects[slot].len;
        if len > reserved {
            return Err(WriteRefused::BeyondReservation { reserved: ByteSize::new(reserved) });
        }
        let units = units_for(len).expect("an object is no longer than its reservation");
        self.pending.subtract(&self.objects[slot]);
        self.unhold(slot);
        self.space.trim(&mut self.objects[slot].allocation, units);
        let extents = self.extents_of(slot, 0, len);
        let object = &mut self.objects[slot];
        (object.state, object.created) = (State::Sealed, now);
        (object.len, object.checksum, object.extents) = (len, checksum, extents);
        self.hold(slot);
        self.publish(slot, ChangeKind::Sealed);
        if !self.objects[slot].is_kept() {
            self.add_evictable(slot);
        }
        self.gone.take(self.objects[slot].hash);
        self.note_reference(slot, ReferenceKind::Stored);
        self.totals.sealed += 1;
        Ok(())
    }

    /// Discards a write. Returns false if it has ended already.
    pub fn abort(&mut self, id: WriteId) -> bool {
        let Some(slot) = self.write(id) else { return false };
        self.pending.subtract(&self.objects[slot]);
        self.unhold(slot);
        self.objects.remove_name(slot);
        self.free_object(slot);
        self.totals.aborted += 1;
        true
    }

    /// Fails if an object has this name.
    pub(super) fn ensure_vacant(
        &mut self,
        hash: u64,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<(), WriteRefused> {
        let named = self.objects.find_hashed(hash, bucket.as_str(), key.as_str());
        let Some(slot) = named else { return Ok(()) };
        if self.objects[slot].state == State::Pending {
            return Err(WriteRefused::Pending);
        }
        self.note_reference(slot, ReferenceKind::Offered);
        Err(WriteRefused::Exists)
    }

    /// The slot of a pending object.
    pub(super) fn write(&self, id: WriteId) -> Option<u32> {
        let object = self.objects.get(id.slot)?;
        let same = object.generation == id.generation && object.state == State::Pending;
        same.then_some(id.slot)
    }

    pub(super) fn units_within(&self, len: ByteSize) -> Result<u32, WriteRefused> {
        let too_large = WriteRefused::BeyondCapacity { capacity: unit_bytes(self.capacity.into()) };
        units_for(len.bytes()).filter(|units| *units <= self.capacity).ok_or(too_large)
    }

    /// Extents of the bytes from `from` to `to` of an object.
    pub(super) fn extents_of(&self, slot: u32, from: u64, to: u64) -> Extents {
        self.space.extents(&self.objects[slot].allocation, from, to)
    }
}
