//! Table of objects: by slot and by name.

use std::{
    num::NonZeroU64,
    ops::{Index, IndexMut},
};

use hashbrown::{HashTable, hash_table::Entry as NameEntry};
use kvlease_types::{BucketName, Checksum, Extent, Key, KeyGroup, Timestamp};

use crate::{
    deadlines::Deadlines,
    eviction,
    extents::Extents,
    ghost::Ghost,
    group::Group,
    hash::{NameHasher, prefetch},
    number_table::NumberTable,
    slab::{Entry, NONE, Slab},
    space::{Allocation, Space},
};

/// Memory of an allocation of the heap beside its contents.
const HEAP_OVERHEAD: usize = 16;

/// Reference counts in front of contents that are shared.
const SHARED_OVERHEAD: usize = 2 * size_of::<usize>();

/// Hash table slots per entry of four bytes: one control byte each, and the table may be half
/// empty.
const NAME_BYTES: usize = 2 * (size_of::<u32>() + 1);

/// In place of the bucket of a spare object, which has no name.
const NO_BUCKET: u32 = u32::MAX;

/// One object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bucket: u32,
    pub(crate) key: Key,
    /// Of bucket and key.
    pub(crate) hash: u64,
    pub(crate) state: State,
    /// Exact size: reserved while it is pending, true once it is sealed.
    pub(crate) len: u64,
    pub(crate) allocation: Allocation,
    /// Empty until it is sealed.
    pub(crate) extents: Extents,
    pub(crate) checksum: Checksum,
    pub(crate) generation: u64,
    /// When it was sealed.
    pub(crate) created: Timestamp,
    /// Leases that have not been seen to end.
    pub(crate) leases: u32,
    /// Whether a reader without a live lease may be there: within the grace after a lease that
    /// expired, or under one that an earlier incarnation granted.
    pub(crate) in_grace: bool,
    /// Whether its bytes are known to match the checksum since it was sealed. Those of a restored
    /// object are not known until they were verified.
    pub(crate) verified: bool,
    /// Whether it was chosen for eviction: the policy has forgotten it, and it still serves.
    pub(crate) victim: bool,
    /// Whether it is a victim that was handed over.
    pub(crate) handed: bool,
    /// Uses, counted as its group counts them, while it is in one.
    pub(crate) uses: u16,
    /// Number of its group; [`NONE`] while it is alone.
    pub(crate) group: u32,
    /// Of its group, while it is sealed and its key has one; also before that if it is known.
    pub(crate) group_hash: Option<NonZeroU64>,
    /// Whether it was found before the object is sealed, or that its key has none.
    pub(crate) knows_group: bool,
    /// Whether it is the daemon's own, which eviction never takes.
    pub(crate) retained: bool,
    /// Whether the policy of its bucket keeps eviction from it. Once set it stays for as long as the object
    /// is sealed, unless policies change.
    pub(crate) pinned: bool,
    /// Class that it was given with its name, with its publication, or when policies changed.
    pub(crate) class: u8,
}

/// Where an object is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Reserved, not published.
    Pending,
    /// Published, immutable.
    Sealed,
    /// Unpublished; its extents wait for the last reader.
    Removed,
    /// Unpublished and without readers; its extents wait for the acknowledgement of its departure.
    Departed,
}

impl Object {
    /// Whether it has no name yet: a pending object that was reserved ahead of need.
    pub(crate) const fn is_spare(&self) -> bool {
        self.bucket == NO_BUCKET
    }

    /// Whether it has no reader, with or without a live lease.
    pub(crate) const fn is_unread(&self) -> bool {
        self.leases == 0 && !self.in_grace
    }

    /// Whether eviction never takes it: the policy has it pinned for as long as it is sealed.
    pub(crate) const fn is_kept(&self) -> bool {
        self.retained || self.pinned
    }

    pub(crate) fn is_evictable(&self) -> bool {
        self.state == State::Sealed && self.is_unread() && !self.is_kept()
    }

    /// Memory beside the slot, for the accounting. A pending object keeps room for the block that
    /// sealing may cut off: a seal never fails for lack of memory.
    pub(crate) fn memory(&self) -> usize {
        let tail = if self.state == State::Pending { Space::BLOCK_BYTES } else { 0 };
        Objects::heap_bytes(&self.key, self.allocation.blocks as usize) + tail
    }
}

/// One bucket and the sums over its objects.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: BucketName,
    /// Objects in any state that belong to it: it is forgotten with the last one.
    members: u64,
    /// Sealed objects.
    pub(crate) objects: u64,
    /// Sum of their exact sizes.
    pub(crate) stored: u64,
    /// Class of its objects.
    pub(crate) class: u8,
}

/// Result of one look-up of [`Objects::find_many`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Of the name.
    pub(crate) hash: u64,
    pub(crate) slot: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Objects {
    slots: Slab<Object>,
    by_name: HashTable<u32>,
    buckets: Slab<Bucket>,
    by_bucket: HashTable<u32>,
    bucket_bytes: usize,
    hasher: NameHasher,
    /// In place of the keys of spare objects.
    no_key: Key,
}

impl Objects {
    /// Memory per slot, for the accounting; an eighth is growth slack. The ghost is that of the
    /// objects evicted lately, which the catalog keeps no longer than there are slots; the last
    /// two numbers are the generation in the table for readers of other processes, and the object in
    /// the published index: a cell, and at most two heads.
    pub(crate) const SLOT_BYTES: usize = size_of::<Entry<Object>>() * 9 / 8
        + NAME_BYTES
        + 2 * Deadlines::ENTRY_BYTES
        + eviction::SLOT_BYTES
        + NumberTable::ENTRY_BYTES
        + Group::MEMBER_BYTES
        + Ghost::ENTRY_BYTES
        + size_of::<u64>()
        + 80;

    /// Memory per bucket beside its name, for the accounting.
    const BUCKET_BYTES: usize = size_of::<Entry<Bucket>>() * 9 / 8 + NAME_BYTES + HEAP_OVERHEAD;

    /// Empty table whose hashes depend on `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Slab::new(),
            by_name: HashTable::new(),
            buckets: Slab::new(),
            by_bucket: HashTable::new(),
            bucket_bytes: 0,
            hasher: NameHasher::new(seed),
            no_key: Key::new("-").expect("a key has at least one character"),
        }
    }

    /// Memory of an object beside its slot: the key, and, if they are several, the extents, both
    /// with their reference counts.
    pub(crate) fn heap_bytes(key: &Key, extents: usize) -> usize {
        let shared = HEAP_OVERHEAD + SHARED_OVERHEAD;
        let list = if extents > 1 { shared + extents * size_of::<Extent>() } else { 0 };
        shared + key.as_str().len() + list
    }

    /// Memory of a spare object beside its slot: as of a key of one byte.
    pub(crate) const fn spare_bytes() -> usize {
        HEAP_OVERHEAD + SHARED_OVERHEAD + 1
    }

    /// Memory of buckets and slots, holes included.
    pub(crate) const fn memory(&self) -> usize {
        self.slots.span() * Self::SLOT_BYTES
            + self.buckets.span() * Self::BUCKET_BYTES
            + self.bucket_bytes
    }

    /// Memory that a new object of this bucket may need for the bucket, which is `known` if it was
    /// found. The name counts even then: eviction may remove its last object first.
    pub(crate) fn bucket_growth(&self, bucket: &BucketName, known: Option<u32>) -> usize {
        let there = known.is_some() || self.buckets.has_vacancy();
        bucket.as_str().len() + if there { 0 } else { Self::BUCKET_BYTES }
    }

    /// The slot that the next object gets.
    pub(crate) fn next_slot(&self) -> u32 {
        self.slots.next_id()
    }

    /// Whether the next object needs no more slots.
    pub(crate) const fn has_vacancy(&self) -> bool {
        self.slots.has_vacancy()
    }

    /// Slots, holes included.
    pub(crate) const fn span(&self) -> usize {
        self.slots.span()
    }

    /// The slot of the published or pending object of this name.
    pub(crate) fn find(&self, bucket: &str, key: &str) -> Option<u32> {
        self.find_hashed(self.hash(bucket, key), bucket, key)
    }

    /// [`find`](Self::find) for callers that have the hash of the name.
    pub(crate) fn find_hashed(&self, hash: u64, bucket: &str, key: &str) -> Option<u32> {
        self.by_name
            .find(hash, |slot| self.is_named(&self.slots[*slot], hash, bucket, key))
            .copied()
    }

    /// Looks up many names of one bucket.
    ///
    /// Three short loops, each of which touches memory that the next one needs. The reads of one
    /// loop do not depend on each other, so the processor waits for many of them at once.
    pub(crate) fn find_many(&self, bucket: &str, keys: &[&str]) -> Vec<Found> {
        let of_key = |key: &&str| Found { hash: self.hash(bucket, key), slot: None };
        let mut found: Vec<_> = keys.iter().map(of_key).collect();
        for Found { hash, slot } in &mut found {
            *slot = self.by_name.find(*hash, |slot| self.slots[*slot].hash == *hash).copied();
        }
        for (found, key) in found.iter_mut().zip(keys) {
            let Some(slot) = found.slot else { continue };
            if !self.is_named(&self.slots[slot], found.hash, bucket, key) {
                found.slot = self.find_hashed(found.hash, bucket, key);
            }
        }
        found
    }

    fn is_named(&self, object: &Object, hash: u64, bucket: &str, key: &str) -> bool {
        object.hash == hash
            && object.key.as_str() == key
            && self.buckets[object.bucket].name.as_str() == bucket
    }

    /// Adds a pending object, whose name has this hash. The name must be free. The bucket is
    /// `known` if it was found before, and may be gone meanwhile.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        (bucket, known): (&BucketName, Option<u32>),
        key: Key,
        len: u64,
        generation: u64,
    ) -> u32 {
        let slot = self.insert_spare(len, generation);
        self.name(slot, hash, (bucket, known), key);
        slot
    }

    /// Adds a pending object without a name.
    pub(crate) fn insert_spare(&mut self, len: u64, generation: u64) -> u32 {
        self.slots.insert(Object {
            bucket: NO_BUCKET,
            key: self.no_key.clone(),
            hash: 0,
            state: State::Pending,
            len,
            allocation: Allocation::default(),
            extents: Extents::default(),
            checksum: Checksum::new(0),
            generation,
            created: Timestamp::default(),
            leases: 0,
            in_grace: false,
            verified: true,
            victim: false,
            handed: false,
            uses: 0,
            group: NONE,
            group_hash: None,
            knows_group: false,
            retained: false,
            pinned: false,
            class: 0,
        })
    }

    /// Gives a spare object its name, as for [`insert`](Self::insert).
    pub(crate) fn name(
        &mut self,
        slot: u32,
        hash: u64,
        (bucket, known): (&BucketName, Option<u32>),
        key: Key,
    ) {
        let retained = bucket.is_retained();
        let bucket = self.join_bucket(bucket, known);
        let object = &mut self.slots[slot];
        debug_assert!(object.is_spare(), "a name is given once");
        (object.bucket, object.key, object.hash) = (bucket, key, hash);
        object.retained = retained;
        let slots = &self.slots;
        self.by_name.insert_unique(hash, slot, |slot| slots[*slot].hash);
    }

    /// Reads what the look-up of a name begins with.
    pub(crate) fn prefetch(&self, hash: u64) -> u32 {
        prefetch(&self.by_name, hash)
    }

    /// Hash of the group of a key, if it has one.
    pub(crate) fn group_hash(&self, bucket: &str, key: &str) -> Option<NonZeroU64> {
        KeyGroup::of(key).map(|group| self.hasher.group(bucket, &group))
    }

    /// Finds out which group an object belongs to. One that eviction never takes belongs to none.
    pub(crate) fn find_group(&mut self, slot: u32) {
        let object = &self.slots[slot];
        let hash = if object.is_kept() {
            None
        } else if object.knows_group {
            object.group_hash
        } else {
            self.group_hash(self.buckets[object.bucket].name.as_str(), object.key.as_str())
        };
        let object = &mut self.slots[slot];
        (object.group_hash, object.knows_group) = (hash, false);
    }

    /// Takes the name of an object out, if it has one: it is free for another one.
    pub(crate) fn remove_name(&mut self, slot: u32) {
        let hash = self.slots[slot].hash;
        if let Ok(entry) = self.by_name.find_entry(hash, |named| *named == slot) {
            entry.remove();
        }
    }

    /// Takes an object out. Its name must be free already.
    pub(crate) fn remove(&mut self, slot: u32) -> Object {
        let object = self.slots.remove(slot).expect("the catalog removes an object once");
        if object.is_spare() {
            return object;
        }
        let bucket = &mut self.buckets[object.bucket];
        bucket.members -= 1;
        if bucket.members == 0 {
            self.forget_bucket(object.bucket);
        }
        object
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Object> {
        self.slots.get(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.slots.iter()
    }

    pub(crate) fn named(&self) -> usize {
        self.by_name.len()
    }

    /// Places of buckets, holes included.
    pub(crate) fn bucket_span(&self) -> u32 {
        u32::try_from(self.buckets.span()).expect("buckets are numbered by 32 bits")
    }

    pub(crate) fn get_bucket(&self, bucket: u32) -> Option<&Bucket> {
        self.buckets.get(bucket)
    }

    pub(crate) fn bucket(&self, bucket: u32) -> &Bucket {
        &self.buckets[bucket]
    }

    pub(crate) fn bucket_mut(&mut self, bucket: u32) -> &mut Bucket {
        &mut self.buckets[bucket]
    }

    pub(crate) fn find_bucket(&self, name: &str) -> Option<u32> {
        let hash = self.hasher.one(name);
        self.by_bucket.find(hash, |id| self.buckets[*id].name.as_str() == name).copied()
    }

    /// Asserts that every bucket has as many members as it says.
    pub(crate) fn check_buckets(&self) {
        for (id, bucket) in self.buckets.iter() {
            let members = || self.slots.iter().filter(|(_, object)| object.bucket == id);
            assert_eq!(members().count() as u64, bucket.members, "members are counted");
            let sealed = || members().filter(|(_, object)| object.state == State::Sealed);
            let stored: u64 = sealed().map(|(_, object)| object.len).sum();
            assert_eq!((sealed().count() as u64, stored), (bucket.objects, bucket.stored));
        }
        let names: usize = self.buckets.iter().map(|(_, b)| b.name.as_str().len()).sum();
        assert_eq!(names, self.bucket_bytes, "the names of buckets are accounted");
        assert_eq!(self.by_bucket.len(), self.buckets.len(), "every bucket has its name");
    }

    /// Identifies a name, of an object that is there or not.
    pub(crate) fn hash(&self, bucket: &str, key: &str) -> u64 {
        self.hasher.pair(bucket, key)
    }

    fn join_bucket(&mut self, name: &BucketName, known: Option<u32>) -> u32 {
        if let Some(id) = known
            && let Some(bucket) = self.buckets.get_mut(id).filter(|bucket| bucket.name == *name)
        {
            bucket.members += 1;
            return id;
        }
        let hash = self.hasher.one(name.as_str());
        let (buckets, hasher) = (&self.buckets, &self.hasher);
        let entry = self.by_bucket.entry(
            hash,
            |id| buckets[*id].name == *name,
            |id| hasher.one(buckets[*id].name.as_str()),
        );
        match entry {
            NameEntry::Occupied(found) => {
                let id = *found.get();
                self.buckets[id].members += 1;
                id
            }
            NameEntry::Vacant(vacant) => {
                self.bucket_bytes += name.as_str().len();
                let name = name.clone();
                let bucket = Bucket { name, members: 1, objects: 0, stored: 0, class: 0 };
                let id = self.buckets.insert(bucket);
                vacant.insert(id);
                id
            }
        }
    }

    fn forget_bucket(&mut self, id: u32) {
        let bucket = self.buckets.remove(id).expect("a bucket is forgotten once");
        self.bucket_bytes -= bucket.name.as_str().len();
        let hash = self.hasher.one(bucket.name.as_str());
        if let Ok(entry) = self.by_bucket.find_entry(hash, |named| *named == id) {
            entry.remove();
        }
    }
}

impl Index<u32> for Objects {
    type Output = Object;

    fn index(&self, slot: u32) -> &Object {
        &self.slots[slot]
    }
}

impl IndexMut<u32> for Objects {
    fn index_mut(&mut self, slot: u32) -> &mut Object {
        &mut self.slots[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pairs_and_buckets_leave_with_their_last_object() {
        let mut objects = Objects::new(7);
        let mut add = |bucket: &str, key: &str| {
            let (hash, bucket) = (objects.hash(bucket, key), BucketName::new(bucket).unwrap());
            objects.insert(hash, (&bucket, None), Key::new(key).unwrap(), 1, 1)
        };
        let (ab_c, a_bc) = (add("ab", "c"), add("a", "bc"));
        assert_eq!(objects.find("ab", "c"), Some(ab_c));
        assert_eq!(objects.find("a", "bc"), Some(a_bc));
        assert_eq!(objects.find("abc", ""), None);
        objects.check_buckets();
        objects.remove_name(ab_c);
        assert_eq!(objects.find("ab", "c"), None);
        assert!(objects.find_bucket("ab").is_some());
        objects.remove(ab_c);
        assert!(objects.find_bucket("ab").is_none());
        objects.check_buckets();
    }
}
