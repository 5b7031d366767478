//! Items by numbers that rise: each is found at once, and so is the first that is left.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// Numbers of items that are gone which are not worth a walk over all numbers.
const GONE_MIN: usize = 64;

/// Items with numbers from 1 on, in the order of their insertion.
///
/// A table takes a third of the time of an ordered map: nearly all items leave in their order.
#[derive(Debug)]
pub(super) struct Rising<T> {
    items: HashMap<u64, T>,
    /// Numbers in their order: of all items, and of some that are gone.
    order: VecDeque<u64>,
    last: u64,
}

impl<T> Default for Rising<T> {
    fn default() -> Self {
        Self { items: HashMap::new(), order: VecDeque::new(), last: 0 }
    }
}

impl<T> Rising<T> {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Number of the item that is added next.
    pub(super) const fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn push(&mut self, item: T) {
        self.last = self.next();
        self.order.push_back(self.last);
        self.items.insert(self.last, item);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let item = self.items.remove(&number);
        if self.items.is_empty() {
            self.order.clear();
        }
        while let Some(first) = self.order.front()
            && !self.items.contains_key(first)
        {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.items.len() + GONE_MIN {
            self.order.retain(|number| self.items.contains_key(number));
        }
        item
    }

    /// Puts an item back that was removed under this number.
    pub(super) fn put_back(&mut self, number: u64, item: T) {
        // Its number may be there still, or not: removals take those at the front.
        if let Err(place) = self.order.binary_search(&number) {
            self.order.insert(place, number);
        }
        self.items.insert(number, item);
    }

    /// The item with the least number, and that number.
    pub(super) fn first(&self) -> Option<(u64, &T)> {
        // Each removal leaves the number of an item at the front.
        self.order.front().map(|number| (*number, &self.items[number]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add<T>(items: &mut Rising<T>, item: T) -> u64 {
        let number = items.next();
        items.push(item);
        number
    }

    #[test]
    fn the_first_is_the_oldest_that_is_left_in_whatever_order_others_leave() {
        let mut items = Rising::default();
        let numbers: Vec<_> = ["a", "b", "c", "d"].map(|item| add(&mut items, item)).into();
        assert_eq!(items.remove(numbers[2]), Some("c"));
        assert_eq!(items.first(), Some((numbers[0], &"a")));
        assert_eq!(items.remove(numbers[0]), Some("a"));
        assert_eq!(items.remove(numbers[0]), None);
        assert_eq!(items.remove(numbers[1]), Some("b"));
        assert_eq!(items.first(), Some((numbers[3], &"d")));
        assert_eq!(items.remove(numbers[3]), Some("d"));
        assert_eq!((items.first(), items.len()), (None, 0));
        assert!(add(&mut items, "e") > numbers[3]);
    }

    #[test]
    fn one_that_is_put_back_has_its_place_again() {
        let mut items = Rising::default();
        let numbers: Vec<_> = ["a", "b", "c"].map(|item| add(&mut items, item)).into();
        for number in [0, 1, 2] {
            let item = items.remove(numbers[number]).unwrap();
            items.put_back(numbers[number], item);
        }
        for (number, item) in numbers.iter().zip(["a", "b", "c"]) {
            assert_eq!(items.first(), Some((*number, &item)));
            items.remove(*number);
        }
        items.put_back(numbers[1], "b");
        assert_eq!((items.first(), items.len()), (Some((numbers[1], &"b")), 1));
    }

    #[test]
    fn one_that_stays_does_not_keep_the_numbers_of_all_that_came_and_went() {
        let mut items = Rising::default();
        let stays = add(&mut items, ());
        for _ in 0..10 * GONE_MIN {
            let goes = add(&mut items, ());
            items.remove(goes);
        }
        assert_eq!(items.first(), Some((stays, &())));
        assert!(items.order.len() <= 2 + GONE_MIN, "{}", items.order.len());
    }
}
