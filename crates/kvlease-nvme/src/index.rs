//! Index of the objects: fingerprint to place, in memory.
//!
//! Entries lie packed in chunks that never move, and a table of their numbers finds them. So growth
//! doubles the table of 5 bytes a slot only, and not the entries: 45 bytes an object at most.

use hashbrown::{HashTable, hash_table::Entry as Slot};

use crate::fingerprint::Fingerprint;

/// Entries of a chunk.
const CHUNK: usize = 4096;

/// End of the list of free entries.
const NONE: u32 = u32::MAX;

/// The most segments that a packed entry can number.
pub(crate) const SEGMENTS_MAX: u64 = 1 << 21;

/// The most blocks of a segment that a packed entry can number.
pub(crate) const BLOCKS_MAX: u64 = 1 << BLOCK_BITS;

/// Bits of a block's number, which are the lowest ones of a packed place. Above them are the segment's.
const BLOCK_BITS: u32 = 18;

/// The highest bit of a packed place: the object was read.
const READ_BIT: u64 = 1 << 39;

const _: () = assert!(SEGMENTS_MAX << BLOCK_BITS <= READ_BIT);

/// Where a record starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Block in the segment.
    pub(crate) block: u32,
}

/// Object in the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Indexed {
    pub(crate) place: Place,
    /// Length, in bytes.
    pub(crate) len: u32,
    /// XXH3-64 of the bytes.
    pub(crate) checksum: u64,
    /// Whether the object was read since it was written here.
    pub(crate) is_read: bool,
}

/// [`Indexed`] with its fingerprint in 33 bytes.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Packed {
    fingerprint: u128,
    checksum: u64,
    /// Length; of a free entry, the next free one.
    len: u32,
    /// Numbers of the block and of its segment, and [`READ_BIT`].
    place: [u8; 5],
}

/// Objects by fingerprint.
#[derive(Default)]
pub(crate) struct Index {
    chunks: Vec<Vec<Packed>>,
    numbers: HashTable<u32>,
    free: Option<u32>,
    used: u32,
}

impl Packed {
    fn new(fingerprint: Fingerprint, object: Indexed) -> Self {
        let Place { segment, block } = object.place;
        let number = u64::from(segment) << BLOCK_BITS | u64::from(block);
        let bits = number | if object.is_read { READ_BIT } else { 0 };
        let [place @ .., _, _, _] = bits.to_le_bytes();
        Self { fingerprint: fingerprint.0, checksum: object.checksum, len: object.len, place }
    }

    fn object(self) -> Indexed {
        let mut bytes = [0; 8];
        bytes[..self.place.len()].copy_from_slice(&{ self.place });
        let bits = u64::from_le_bytes(bytes);
        let segment = ((bits & !READ_BIT) >> BLOCK_BITS) as u32;
        Indexed {
            place: Place { segment, block: (bits & (BLOCKS_MAX - 1)) as u32 },
            len: self.len,
            checksum: self.checksum,
            is_read: bits & READ_BIT != 0,
        }
    }
}

/// Hash of a fingerprint, which is a keyed hash itself.
fn hash(fingerprint: u128) -> u64 {
    fingerprint as u64
}

fn packed(chunks: &[Vec<Packed>], number: u32) -> Packed {
    chunks[number as usize / CHUNK][number as usize % CHUNK]
}

impl Index {
    /// Number of objects.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<Indexed> {
        self.number(fingerprint).map(|number| packed(&self.chunks, number).object())
    }

    /// Puts an object in, and returns the one that it replaces.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, object: Indexed) -> Option<Indexed> {
        let new = Packed::new(fingerprint, object);
        if let Some(number) = self.number(fingerprint) {
            let old = std::mem::replace(self.at(number), new);
            return Some(old.object());
        }
        let number = self.claim();
        *self.at(number) = new;
        let chunks = &self.chunks;
        let hasher = |number: &u32| hash(packed(chunks, *number).fingerprint);
        self.numbers.insert_unique(hash(fingerprint.0), number, hasher);
        None
    }

    pub(crate) fn remove(&mut self, fingerprint: Fingerprint) -> Option<Indexed> {
        let chunks = &self.chunks;
        let is_it = |number: &u32| packed(chunks, *number).fingerprint == fingerprint.0;
        let hasher = |number: &u32| hash(packed(chunks, *number).fingerprint);
        let Slot::Occupied(slot) = self.numbers.entry(hash(fingerprint.0), is_it, hasher) else {
            return None;
        };
        let (number, _) = slot.remove();
        let object = packed(&self.chunks, number).object();
        let next = self.free.unwrap_or(NONE);
        self.at(number).len = next;
        self.free = Some(number);
        Some(object)
    }

    /// Marks an object as read.
    pub(crate) fn mark_read(&mut self, fingerprint: Fingerprint) {
        if let Some(number) = self.number(fingerprint) {
            self.at(number).place[4] |= (READ_BIT >> 32) as u8;
        }
    }

    /// Fingerprints of the objects in a segment. Looks at every object: for segments whose table is
    /// lost.
    pub(crate) fn in_segment(&self, segment: u32) -> Vec<Fingerprint> {
        let all = self.numbers.iter().map(|number| packed(&self.chunks, *number));
        let here = all.filter(|packed| packed.object().place.segment == segment);
        here.map(|packed| Fingerprint(packed.fingerprint)).collect()
    }

    /// Memory of the index, in bytes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let chunk = CHUNK * size_of::<Packed>() + size_of::<Vec<Packed>>();
        self.chunks.len() * chunk + self.numbers.allocation_size()
    }

    fn number(&self, fingerprint: Fingerprint) -> Option<u32> {
        let is_it = |number: &u32| packed(&self.chunks, *number).fingerprint == fingerprint.0;
        self.numbers.find(hash(fingerprint.0), is_it).copied()
    }

    fn at(&mut self, number: u32) -> &mut Packed {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    /// Takes a free entry.
    fn claim(&mut self) -> u32 {
        if let Some(number) = self.free {
            let next = packed(&self.chunks, number).len;
            self.free = (next != NONE).then_some(next);
            return number;
        }
        let number = self.used;
        self.used += 1;
        if number as usize / CHUNK == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let empty = Packed { fingerprint: 0, checksum: 0, len: 0, place: [0; 5] };
        self.chunks.last_mut().expect("one was pushed").push(empty);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kvlease_testing::Draws;

    use super::*;

    fn object(number: u32) -> Indexed {
        Indexed {
            place: Place {
                segment: number.wrapping_mul(0x9e37_79b9) % SEGMENTS_MAX as u32,
                block: number.wrapping_mul(0x85eb_ca6b) % BLOCKS_MAX as u32,
            },
            len: number,
            checksum: u64::from(number) << 32,
            is_read: number.is_multiple_of(3),
        }
    }

    #[test]
    fn an_object_takes_at_most_48_bytes_at_any_number_of_them() {
        assert_eq!(size_of::<Packed>(), 33);
        let mut index = Index::default();
        for number in 0..300_000u32 {
            let fingerprint =
                u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            index.insert(Fingerprint(fingerprint), object(number));
            if index.len() >= 50_000 {
                let each = index.memory() as f64 / index.len() as f64;
                assert!(each <= 48.0, "{each} bytes an object of {}", index.len());
            }
        }
    }

    #[test]
    fn it_behaves_as_a_map() {
        let mut draws = Draws::new(7);
        let (mut index, mut model) = (Index::default(), HashMap::new());
        for step in 0..50_000u32 {
            let fingerprint = Fingerprint(u128::from(draws.below(9000)) << 3);
            match draws.below(4) {
                0 | 1 => assert_eq!(
                    index.insert(fingerprint, object(step)),
                    model.insert(fingerprint, object(step))
                ),
                2 => assert_eq!(index.remove(fingerprint), model.remove(&fingerprint)),
                _ => {
                    index.mark_read(fingerprint);
                    if let Some(object) = model.get_mut(&fingerprint) {
                        object.is_read = true;
                    }
                }
            }
            assert_eq!(index.get(fingerprint), model.get(&fingerprint).copied());
            assert_eq!(index.len(), model.len());
        }
        let here = model.iter().filter(|(_, object)| object.place.segment == 40_000);
        let mut here: Vec<_> = here.map(|(fingerprint, _)| fingerprint.0).collect();
        let mut found: Vec<_> = index.in_segment(40_000).iter().map(|found| found.0).collect();
        here.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, here);
    }
}
