//! A vector with holes: values keep their number until they are removed, numbers are used again.
//!
//! Listings rely on this: an object stays in its slot for as long as it lives.

use std::ops::{Index, IndexMut};

/// Ends a chain of numbers, and so is never the number of an entry.
pub(crate) const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// First of the chain of vacant entries.
    vacant: u32,
    taken: usize,
}

/// One place of the vector.
#[derive(Debug)]
pub(crate) enum Entry<T> {
    /// Free; names the next free one.
    Vacant(u32),
    /// In use.
    Taken(T),
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), vacant: NONE, taken: 0 }
    }

    /// The number that the next value gets.
    pub(crate) fn next_id(&self) -> u32 {
        match self.vacant {
            NONE => u32::try_from(self.entries.len()).expect("tables are far below 2^32 entries"),
            vacant => vacant,
        }
    }

    /// Stores `value` and returns its number.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.taken += 1;
        if self.vacant == NONE {
            return self.push(value);
        }
        let id = self.vacant;
        let entry = &mut self.entries[id as usize];
        let Entry::Vacant(next) = *entry else { unreachable!("the vacant chain holds only holes") };
        self.vacant = next;
        *entry = Entry::Taken(value);
        id
    }

    /// Grows by an eighth instead of doubling, so that the accounted memory stays close to the
    /// memory held.
    fn push(&mut self, value: T) -> u32 {
        let id = u32::try_from(self.entries.len()).ok().filter(|id| *id != NONE);
        let id = id.expect("memory limits keep every table far below 2^32 entries");
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / 8 + 16);
        }
        self.entries.push(Entry::Taken(value));
        id
    }

    /// Takes the value out, if there is one.
    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self.entries.get_mut(id as usize)?;
        if matches!(entry, Entry::Vacant(_)) {
            return None;
        }
        let old = std::mem::replace(entry, Entry::Vacant(self.vacant));
        self.vacant = id;
        self.taken -= 1;
        match old {
            Entry::Taken(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        match self.entries.get(id as usize)? {
            Entry::Taken(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        match self.entries.get_mut(id as usize)? {
            Entry::Taken(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    /// How many values are stored.
    pub(crate) const fn len(&self) -> usize {
        self.taken
    }

    /// How many entries there are, holes included: what the memory is accounted by.
    pub(crate) const fn span(&self) -> usize {
        self.entries.len()
    }

    /// Whether the next insertion needs no more memory.
    pub(crate) const fn has_vacancy(&self) -> bool {
        self.vacant != NONE
    }

    /// The stored values with their numbers, by rising number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.entries).filter_map(|(id, entry)| match entry {
            Entry::Taken(value) => Some((id, value)),
            Entry::Vacant(_) => None,
        })
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        self.get(id).expect("the tables of the catalog name only entries in use")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        self.get_mut(id).expect("the tables of the catalog name only entries in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut slab = Slab::new();
        let ids: Vec<_> = ["a", "b", "c"].map(|value| slab.insert(value)).into();
        assert_eq!(slab.remove(ids[1]), Some("b"));
        assert_eq!(slab.remove(ids[1]), None);
        assert!(slab.has_vacancy());
        assert_eq!(slab[ids[2]], "c");
        assert_eq!(slab.insert("d"), ids[1]);
        assert_eq!((slab.len(), slab.span()), (3, 3));
        assert_eq!(slab.iter().map(|(_, v)| *v).collect::<String>(), "adc");
    }
}
