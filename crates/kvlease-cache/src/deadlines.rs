//! Numbers ordered by a moment: which lease ends first, which grace.
//!
//! A four-way heap that knows where each number sits. A number can be moved or removed at any
//! time, so the heap is never larger than what is live, however many grants and releases pass.

use kvlease_types::Timestamp;

use crate::slab::NONE;

/// Children per node: four keep the heap shallow and a node's children in one cache line.
const ARITY: usize = 4;

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Deadlines {
    heap: Vec<(Timestamp, u32)>,
    /// Where each number sits in `heap`, or [`NONE`].
    places: Vec<u32>,
}

impl Deadlines {
    /// Memory per number, for the accounting.
    pub(crate) const ENTRY_BYTES: usize = size_of::<(Timestamp, u32)>() + size_of::<u32>();

    /// Puts `id` at `at`, moving it if it is there already.
    pub(crate) fn set(&mut self, id: u32, at: Timestamp) {
        if let Some(place) = self.place(id) {
            self.heap[place].0 = at;
            let place = self.rise(place);
            self.sink(place);
            return;
        }
        if self.places.len() <= id as usize {
            self.places.resize(id as usize + 1, NONE);
        }
        self.heap.push((at, id));
        let place = self.heap.len() - 1;
        self.settle(place);
        self.rise(place);
    }

    /// Takes `id` out; nothing happens if it is not there.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(place) = self.place(id) else { return };
        self.places[id as usize] = NONE;
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.settle(place);
            let place = self.rise(place);
            self.sink(place);
        }
    }

    /// Takes out the earliest number if its moment has come.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        let (at, id) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.remove(id);
        Some(id)
    }

    /// The moment of `id`.
    pub(crate) fn get(&self, id: u32) -> Option<Timestamp> {
        self.place(id).map(|place| self.heap[place].0)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Asserts the heap order and that every number is where it is said to be.
    pub(crate) fn check(&self) {
        for (place, (at, id)) in self.heap.iter().enumerate() {
            assert_eq!(self.place(*id), Some(place), "a deadline is where it is said to be");
            if place > 0 {
                assert!(self.heap[(place - 1) / ARITY].0 <= *at, "no deadline precedes its parent");
            }
        }
        let placed = self.places.iter().filter(|place| **place != NONE).count();
        assert_eq!(placed, self.heap.len(), "only numbers in the heap have a place");
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.places.get(id as usize).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    /// Notes where the entry at `place` sits.
    fn settle(&mut self, place: usize) {
        let id = self.heap[place].1;
        self.places[id as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let first = place * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child].0) else { return };
            if self.heap[place].0 <= self.heap[least].0 {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.settle(a);
        self.settle(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn numbers_come_out_in_the_order_of_their_moments() {
        let mut deadlines = Deadlines::default();
        for id in 0..100_u32 {
            deadlines.set(id, at(u64::from(id * 37 % 101)));
            deadlines.check();
        }
        deadlines.set(5, at(1000));
        deadlines.remove(7);
        deadlines.remove(7);
        deadlines.check();
        let mut popped = Vec::new();
        while let Some(id) = deadlines.pop_due(at(500)) {
            popped.push(u64::from(id * 37 % 101));
            deadlines.check();
        }
        assert!(popped.is_sorted());
        assert_eq!(popped.len(), 98);
        assert_eq!(deadlines.get(5), Some(at(1000)));
        assert_eq!(deadlines.len(), 1);
    }

    #[test]
    fn a_million_pairs_of_set_and_remove_hold_no_more_than_what_is_live() {
        let mut deadlines = Deadlines::default();
        for round in 0..1_000_000_u64 {
            let id = (round % 8) as u32;
            deadlines.set(id, at(round));
            deadlines.remove(id);
        }
        assert_eq!(deadlines.len(), 0);
        assert!(deadlines.heap.capacity() <= 8 && deadlines.places.len() == 8);
    }
}
