//! Names of objects that are being removed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use kvlease_tier::Name;

/// Names that are being removed, from the arena first and then from one tier after the other. Meanwhile no tier's copy
/// comes back to the arena: it would outlive the removal there.
#[derive(Default, Debug)]
pub(crate) struct BeingRemoved {
    /// Removals of each name.
    names: Mutex<HashMap<Name, usize>>,
}

/// Removal of some names. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Removing<'a> {
    being_removed: &'a BeingRemoved,
    names: Vec<Name>,
}

impl BeingRemoved {
    /// Begins to remove these names.
    pub(crate) fn begin(&self, names: Vec<Name>) -> Removing<'_> {
        let mut removals = self.lock();
        for name in &names {
            *removals.entry(name.clone()).or_default() += 1;
        }
        drop(removals);
        Removing { being_removed: self, names }
    }

    /// Whether a name is being removed.
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.lock().contains_key(name)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, usize>> {
        self.names.lock().expect("no thread panics while holding it")
    }
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        let mut removals = self.being_removed.lock();
        for name in &self.names {
            if let Some(count) = removals.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    removals.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::{BucketName, Key};

    use super::*;

    #[test]
    fn a_name_is_being_removed_until_the_last_removal_of_it_ends() {
        let being_removed = BeingRemoved::default();
        let [a, b] = ["a", "b"].map(|key| Name {
            bucket: BucketName::new("b").expect("a name"),
            key: Key::new(key).expect("a name"),
        });
        let both = being_removed.begin(vec![a.clone(), b.clone(), a.clone()]);
        let one = being_removed.begin(vec![a.clone()]);
        assert!(being_removed.has(&a) && being_removed.has(&b));
        drop(both);
        assert!(being_removed.has(&a) && !being_removed.has(&b));
        drop(one);
        assert!(!being_removed.has(&a) && being_removed.lock().is_empty());
    }
}
