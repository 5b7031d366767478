//! Tables with one entry for each owner of objects.

/// Entries that a policy keeps for the owners of objects, found by the class of an object. The owner 0 has an entry from
/// the start on, and classes that were assigned to no other one are its.
#[derive(Debug)]
pub(super) struct PerOwner<T> {
    /// Number and entry of each owner.
    entries: Vec<(u8, T)>,
    /// Place of the entry of each class; that of classes behind the end is the first.
    of_class: Vec<u8>,
}

impl<T: Default> Default for PerOwner<T> {
    fn default() -> Self {
        Self { entries: vec![(0, T::default())], of_class: Vec::new() }
    }
}

impl<T: Default> PerOwner<T> {
    /// Gives a class an owner.
    pub(super) fn assign(&mut self, class: u8, owner: u8) {
        let known = self.entries.iter().position(|(number, _)| *number == owner);
        let place = known.unwrap_or_else(|| {
            self.entries.push((owner, T::default()));
            self.entries.len() - 1
        });
        let class = usize::from(class);
        if place > 0 && class >= self.of_class.len() {
            self.of_class.resize(class + 1, 0);
        }
        if let Some(of_class) = self.of_class.get_mut(class) {
            // Owners are numbered by one byte, so there are no more of them.
            *of_class = place as u8;
        }
    }

    /// Whether there are several owners.
    pub(super) const fn is_shared(&self) -> bool {
        self.entries.len() > 1
    }

    /// The entry of the owner of a class.
    pub(super) fn of(&self, class: u8) -> &T {
        &self.entries[self.place(class)].1
    }

    pub(super) fn of_mut(&mut self, class: u8) -> &mut T {
        let place = self.place(class);
        &mut self.entries[place].1
    }

    /// Each entry, with the number of these classes that are its owner's: for assertions.
    pub(super) fn count(&self, classes: impl Iterator<Item = u8>) -> Vec<(&T, usize)> {
        let mut counted: Vec<_> = self.entries.iter().map(|(_, entry)| (entry, 0)).collect();
        classes.for_each(|class| counted[self.place(class)].1 += 1);
        counted
    }

    fn place(&self, class: u8) -> usize {
        self.of_class.get(usize::from(class)).copied().unwrap_or(0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_one_owner_have_one_entry() {
        let mut table = PerOwner::<u32>::default();
        table.assign(3, 0);
        assert!(!table.is_shared() && table.of_class.is_empty());
        for (class, owner) in [(1, 7), (4, 7), (2, 255), (4, 7)] {
            table.assign(class, owner);
        }
        assert!(table.is_shared());
        *table.of_mut(1) = 1;
        *table.of_mut(2) = 2;
        assert_eq!([0, 1, 2, 3, 4, 200].map(|class| *table.of(class)), [0, 1, 2, 0, 1, 0]);
        assert_eq!(table.count([4, 1, 9, 2].into_iter()), [(&0, 1), (&1, 2), (&2, 1)]);
        table.assign(4, 0);
        assert_eq!(*table.of(4), 0);
    }
}
