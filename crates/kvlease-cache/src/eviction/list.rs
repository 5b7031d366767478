//! Doubly linked lists over slot numbers.
//!
//! Links live in one table for all lists: a slot is in one list at most.

use crate::slab::NONE;

/// The neighbours of every slot.
#[derive(Default, Debug)]
pub(crate) struct Links(Vec<Link>);

/// The neighbours of one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Towards the front.
    newer: u32,
    /// Towards the back.
    older: u32,
}

/// One list: things enter at the front and leave at the back.
#[derive(Debug)]
pub(crate) struct List {
    front: u32,
    back: u32,
    len: u64,
}

impl Default for List {
    fn default() -> Self {
        Self { front: NONE, back: NONE, len: 0 }
    }
}

impl List {
    /// The slot at the back.
    pub(crate) fn back(&self) -> Option<u32> {
        Some(self.back).filter(|slot| *slot != NONE)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Adds a slot that is in no list.
    pub(crate) fn push_front(&mut self, links: &mut Links, slot: u32) {
        let older = self.front;
        links.set(slot, Link { newer: NONE, older });
        match older {
            NONE => self.back = slot,
            older => links.0[older as usize].newer = slot,
        }
        self.front = slot;
        self.len += 1;
    }

    /// Takes out a slot that is in this list.
    pub(crate) fn unlink(&mut self, links: &mut Links, slot: u32) {
        let Link { newer, older } = links.0[slot as usize];
        match newer {
            NONE => self.front = older,
            newer => links.0[newer as usize].older = older,
        }
        match older {
            NONE => self.back = newer,
            older => links.0[older as usize].newer = newer,
        }
        self.len -= 1;
    }

    /// The slots from the back to the front.
    pub(crate) fn iter<'a>(&self, links: &'a Links) -> impl Iterator<Item = u32> + use<'a> {
        std::iter::successors(self.back(), |slot| {
            Some(links.0[*slot as usize].newer).filter(|slot| *slot != NONE)
        })
    }

    /// Asserts that the list can be walked and has the length it says.
    pub(crate) fn check(&self, links: &Links) {
        let len = self.iter(links).take(self.len as usize + 1).count() as u64;
        assert_eq!(len, self.len, "a list is as long as it says");
        let front = self.iter(links).last().unwrap_or(NONE);
        assert_eq!(front, self.front, "a list ends at its front");
    }
}

impl Links {
    /// Memory per slot, for the accounting.
    pub(crate) const LINK_BYTES: usize = size_of::<Link>();

    /// Takes the memory for this many slots.
    pub(super) fn reserve(&mut self, slots: usize) {
        if slots > self.0.len() {
            grow(&mut self.0, slots, Link { newer: NONE, older: NONE });
        }
    }

    fn set(&mut self, slot: u32, link: Link) {
        let place = slot as usize;
        self.reserve(place + 1);
        self.0[place] = link;
    }
}

/// The part of a class in a table that is indexed by class, which is made if it is not there.
pub(super) fn of_class<T: Default>(table: &mut Vec<T>, class: u8) -> &mut T {
    let place = usize::from(class);
    if place >= table.len() {
        table.resize_with(place + 1, T::default);
    }
    &mut table[place]
}

/// Lengthens a table that is indexed by slot, by an eighth at a time.
pub(super) fn grow<T: Clone>(table: &mut Vec<T>, len: usize, value: T) {
    if len > table.capacity() {
        table.reserve_exact(len - table.len() + len / 8);
    }
    table.resize(len, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_leave_at_the_back_or_from_the_middle() {
        let (mut links, mut list) = (Links::default(), List::default());
        for slot in [4, 2, 9] {
            list.push_front(&mut links, slot);
            list.check(&links);
        }
        assert_eq!(list.iter(&links).collect::<Vec<_>>(), [4, 2, 9]);
        list.unlink(&mut links, 2);
        list.check(&links);
        assert_eq!(list.back(), Some(4));
        list.unlink(&mut links, 4);
        list.unlink(&mut links, 9);
        list.check(&links);
        assert!(list.is_empty() && list.back().is_none());
    }
}
