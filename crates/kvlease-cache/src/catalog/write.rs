//! Writing objects: reserve, extend, seal, abort.

use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, Timestamp, WriteRefused};

use super::{Catalog, unit_bytes, units_for};
use crate::{
    objects::{Objects, State},
    outcome::{Reservation, WriteId},
    space::Allocation,
};

impl Catalog {
    /// Reserves space for a new object, evicting unleased objects as needed. The object stays
    /// invisible until it is sealed; nobody else can write one of the same name meanwhile.
    ///
    /// All or nothing: a refusal has evicted nothing.
    pub fn reserve(
        &mut self,
        bucket: BucketName,
        key: Key,
        len: ByteSize,
        now: Timestamp,
    ) -> Result<Reservation, WriteRefused> {
        if let Some(slot) = self.objects.find(bucket.as_str(), key.as_str()) {
            return Err(match self.objects[slot].state {
                State::Writing => WriteRefused::Pending,
                State::Sealed | State::Removed => WriteRefused::Exists,
            });
        }
        let units = self.units_within(len)?;
        self.check_space(&Allocation::default(), units, now)?;
        let names = self.objects.bucket_growth(bucket.as_str()) + Objects::heap_bytes(&key, 0);
        let bytes = names + Self::claim_bytes();
        self.check_memory(bytes + self.slot_bytes())?;
        self.make_slot(bytes);
        self.generation += 1;
        let generation = self.generation;
        let slot = self.objects.insert(bucket, key, len.bytes(), generation);
        self.claim(slot, units);
        self.gone.take(self.objects[slot].hash);
        self.writing.add(&self.objects[slot]);
        let extents = self.places(slot, 0, len.bytes());
        Ok(Reservation { id: WriteId { slot, generation }, extents })
    }

    /// Reserves `more` bytes behind those that the write has, for a body of unknown length.
    ///
    /// The answer is where the further bytes go. All or nothing: a refusal has evicted nothing,
    /// and what was reserved before stays.
    pub fn extend(
        &mut self,
        id: WriteId,
        more: ByteSize,
        now: Timestamp,
    ) -> Result<Vec<Extent>, WriteRefused> {
        let slot = self.write(id).ok_or(WriteRefused::Unknown)?;
        let len = self.objects[slot].len;
        let total = len.saturating_add(more.bytes());
        let units = self.units_within(ByteSize::new(total))?;
        // The allocation is lent out while others are looked at, so that none needs a copy.
        let allocation = std::mem::take(&mut self.objects[slot].allocation);
        let further = units - allocation.units.min(units);
        let checked = self
            .check_space(&allocation, further, now)
            .and_then(|()| self.check_memory(Self::claim_bytes()));
        self.objects[slot].allocation = allocation;
        checked?;
        self.make_memory(Self::claim_bytes());
        self.writing.subtract(&self.objects[slot]);
        self.claim(slot, further);
        self.objects[slot].len = total;
        self.writing.add(&self.objects[slot]);
        Ok(self.places(slot, len, total))
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
        let len = len.bytes();
        let reserved = self.objects[slot].len;
        if len > reserved {
            return Err(WriteRefused::BeyondReservation { reserved: ByteSize::new(reserved) });
        }
        let units = units_for(len).expect("an object is no longer than its reservation");
        self.writing.subtract(&self.objects[slot]);
        self.space.trim(&mut self.objects[slot].allocation, units);
        let extents = self.places(slot, 0, len);
        let object = &mut self.objects[slot];
        (object.state, object.created) = (State::Sealed, now);
        (object.len, object.checksum, object.extents) = (len, checksum, extents.into());
        self.reveal(slot);
        self.evictable.add(&self.objects[slot]);
        self.totals.sealed += 1;
        Ok(())
    }

    /// Makes a sealed object visible: counts it, and tells whom it concerns.
    pub(super) fn reveal(&mut self, slot: u32) {
        if let Some(watch) = &mut self.watch {
            watch.sealed(slot, &self.objects.describe(slot));
        }
        let object = &self.objects[slot];
        self.sealed.add(object);
        self.policy.insert(slot, object.hash, object.allocation.units);
        let (bucket, len) = (object.bucket, object.len);
        let bucket = self.objects.bucket_mut(bucket);
        bucket.objects += 1;
        bucket.stored += len;
    }

    /// Discards a write. Returns false if it has ended already.
    pub fn abort(&mut self, id: WriteId) -> bool {
        let Some(slot) = self.write(id) else { return false };
        self.writing.subtract(&self.objects[slot]);
        self.objects.unname(slot);
        self.free_object(slot);
        self.totals.aborted += 1;
        true
    }

    /// The slot of a write in progress.
    fn write(&self, id: WriteId) -> Option<u32> {
        let object = self.objects.get(id.slot)?;
        let same = object.generation == id.generation && object.state == State::Writing;
        same.then_some(id.slot)
    }

    fn units_within(&self, len: ByteSize) -> Result<u32, WriteRefused> {
        let too_large = WriteRefused::BeyondCapacity { capacity: unit_bytes(self.capacity.into()) };
        units_for(len.bytes()).filter(|units| *units <= self.capacity).ok_or(too_large)
    }

    /// Where the bytes from `from` to `to` of an object are.
    fn places(&self, slot: u32, from: u64, to: u64) -> Vec<Extent> {
        self.space.extents(&self.objects[slot].allocation, from, to)
    }
}
