//! Spare objects: space that is reserved ahead of need, and gets its name when it is sealed.

use kvlease_types::{BucketName, ByteSize, Checksum, Key, Timestamp, WriteRefused};

use super::Catalog;
use crate::{
    objects::Objects,
    outcome::{Reservation, Room, WriteId},
    quotas::Amount,
    space::{Allocation, Effort},
};

/// Extents of a spare object: an object of one extent can be read without a lease.
const EXTENTS_MAX: u32 = 1;

/// Part of the free target that is left to writes that come now.
const LEFT_TO_WRITES: u64 = 2;

impl Catalog {
    /// Reserves space for an object whose name comes when it is sealed. Nothing is evicted for it:
    /// what is not used must not cost an object that is. So it is refused where a part of the free
    /// target would be taken as well, and where the catalog's memory is full.
    pub fn reserve_spare(&mut self, len: ByteSize) -> Result<Reservation, WriteRefused> {
        let units = self.units_within(len)?;
        let left = u64::from(self.space.free()).checked_sub(units.into());
        let target = u64::from(self.free_target());
        if left.is_none_or(|left| left * LEFT_TO_WRITES < target) {
            return Err(WriteRefused::OnlyLeased);
        }
        let slot = if self.objects.has_vacancy() { 0 } else { Objects::SLOT_BYTES };
        let bytes = Objects::spare_bytes() + Self::claim_bytes() + slot;
        if self.objects_memory() + bytes > self.objects_memory_max() {
            return Err(WriteRefused::MemoryShort { memory_max: self.config.memory_max });
        }
        let (slot, mut allocation) = (self.objects.next_slot(), Allocation::default());
        if !self.space.extend(&mut allocation, slot, units, EXTENTS_MAX, Effort::Quick) {
            return Err(WriteRefused::Fragmented);
        }
        self.generation += 1;
        let generation = self.generation;
        self.objects.insert_spare(len.bytes(), generation);
        self.objects[slot].allocation = allocation;
        self.pending.add(&self.objects[slot]);
        let extents = self.extents_of(slot, 0, len.bytes());
        Ok(Reservation { id: WriteId { slot, generation }, extents })
    }

    /// Publishes the first `len` bytes of a spare object under this name. A refusal leaves it as it
    /// is. Where quotas need more evictions than one call makes, later calls go on.
    ///
    /// The generation is a new one, so that of two objects of one name the later has the higher.
    pub fn seal_spare(
        &mut self,
        id: WriteId,
        (bucket, key): (&BucketName, &Key),
        len: ByteSize,
        checksum: Checksum,
        now: Timestamp,
    ) -> Result<(), WriteRefused> {
        let slot = self.write(id).filter(|slot| self.objects[*slot].is_spare());
        let slot = slot.ok_or(WriteRefused::Unknown)?;
        let reserved = ByteSize::new(self.objects[slot].len);
        if len > reserved {
            return Err(WriteRefused::BeyondReservation { reserved });
        }
        let hash = self.objects.hash(bucket.as_str(), key.as_str());
        if self.classes.have_ttl() {
            self.remove_expired(hash, bucket, key, now);
        }
        self.ensure_vacant(hash, bucket, key)?;
        let known = self.objects.find_bucket(bucket.as_str());
        let names = self.objects.bucket_growth(bucket, known) + Objects::heap_bytes(key, 0);
        let class = self.class_of(bucket, known);
        let more = Amount::of(&self.objects[slot]);
        let may_grow = self.check_quota(class, more, now)? == Room::Given(());
        self.check_memory(names)?;
        if !may_grow || !self.make_quota(class, more)? {
            return Err(WriteRefused::OnlyLeased);
        }
        self.make_memory(names, Some(class))?;
        self.generation += 1;
        self.pending.subtract(&self.objects[slot]);
        self.objects.name(slot, hash, (bucket, known), key.clone());
        self.objects[slot].generation = self.generation;
        self.join_account(slot, class);
        self.pending.add(&self.objects[slot]);
        self.seal(WriteId { slot, generation: self.generation }, len, checksum, now)
    }
}
