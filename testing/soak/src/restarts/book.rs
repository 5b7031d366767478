//! What may be seen of each key, and what must be.
//!
//! Each key has one writer, who does one thing after the other. So what it has been told of, and
//! what it has asked for, says which versions there can be.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// The last version whose store was begun.
    begun: u64,
    /// That store has not been answered.
    storing: bool,
    /// A removal has not been answered.
    removing: bool,
    /// No version below this one can be seen.
    oldest: u64,
    /// None above this one can, but for the one that is being stored.
    newest: u64,
    /// There is an object: its store was answered, or it was seen when nobody else worked, and its
    /// removal was not asked for since. Unless it was evicted, it must be there.
    promised: bool,
}

/// What nobody answered before the daemon was killed, and what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct CutOff {
    /// A store that is there, or is not.
    pub(super) store: Option<bool>,
    /// A removal that was done, or was not.
    pub(super) removal: Option<bool>,
}

impl Default for Entry {
    /// Nothing was ever stored.
    fn default() -> Self {
        let (begun, newest, oldest) = (0, 0, 1);
        Self { begun, storing: false, removing: false, oldest, newest, promised: false }
    }
}

impl Entry {
    pub(super) fn is_promised(&self) -> bool {
        self.promised
    }

    /// Whether this version can be there, while nobody works.
    pub(super) fn may_be(&self, version: u64) -> bool {
        (self.oldest..=self.last()).contains(&version)
    }

    /// Whether a reader that knew `self` before it asked, and `after` when it had its answer, may
    /// have got this version.
    pub(super) fn allows(&self, after: &Self, version: u64) -> bool {
        self.may_be(version) || (self.begun + 1..=after.begun).contains(&version)
    }

    /// Whether that reader must have found something, where nothing is evicted.
    pub(super) fn demands(&self, after: &Self) -> bool {
        self.promised && after.promised && self.begun == after.begun
    }

    /// Begins to store the next version, and returns it.
    fn begin(&mut self) -> u64 {
        // The one before may have got there just before its daemon was killed.
        self.newest = self.last();
        self.begun += 1;
        self.storing = true;
        self.begun
    }

    /// It was stored.
    fn stored(&mut self) {
        (self.oldest, self.newest) = (self.begun, self.begun);
        (self.storing, self.removing, self.promised) = (false, false, true);
    }

    /// It was not, and will not be.
    fn refused(&mut self) {
        self.storing = false;
    }

    /// A removal is asked for.
    fn remove(&mut self) {
        (self.promised, self.removing) = (false, true);
    }

    /// There is no object.
    fn gone(&mut self) {
        (self.oldest, self.newest) = (self.begun + 1, self.begun);
        (self.storing, self.removing, self.promised) = (false, false, false);
    }

    /// This is what is there, and nobody works: what was never answered will never happen.
    fn settle(&mut self, found: Option<u64>) -> CutOff {
        let cut_off = CutOff {
            store: self.storing.then_some(found == Some(self.begun)),
            removal: self.removing.then_some(found.is_none()),
        };
        self.gone();
        if let Some(version) = found {
            (self.oldest, self.newest, self.promised) = (version, version, true);
        }
        cut_off
    }

    fn last(&self) -> u64 {
        if self.storing { self.begun } else { self.newest }
    }
}

/// What is known of all keys, by their numbers.
#[derive(Debug)]
pub(super) struct Book(Mutex<Vec<Entry>>);

impl Book {
    pub(super) fn new(keys: usize) -> Self {
        Self(Mutex::new(vec![Entry::default(); keys]))
    }

    pub(super) fn get(&self, index: usize) -> Entry {
        self.lock()[index]
    }

    pub(super) fn begin(&self, index: usize) -> u64 {
        self.lock()[index].begin()
    }

    /// Returns whether there should have been an object already.
    pub(super) fn stored(&self, index: usize) -> bool {
        let entry = &mut self.lock()[index];
        let before = entry.promised;
        entry.stored();
        before
    }

    pub(super) fn refused(&self, index: usize) {
        self.lock()[index].refused();
    }

    pub(super) fn remove(&self, index: usize) {
        self.lock()[index].remove();
    }

    pub(super) fn gone(&self, index: usize) {
        self.lock()[index].gone();
    }

    pub(super) fn settle(&self, index: usize, found: Option<u64>) -> CutOff {
        self.lock()[index].settle(found)
    }

    /// The keys that have an object unless it was evicted.
    pub(super) fn promised(&self) -> Vec<usize> {
        let entries = self.lock();
        (0..entries.len()).filter(|index| entries[*index].promised).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // No section can leave an entry half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_promise_from_its_answer_to_the_request_for_its_removal() {
        let mut entry = Entry::default();
        assert!(!entry.may_be(0) && !entry.may_be(1));
        assert_eq!(entry.begin(), 1);
        assert!(entry.may_be(1) && !entry.is_promised());
        entry.stored();
        assert!(entry.may_be(1) && entry.is_promised());
        entry.remove();
        assert!(entry.may_be(1) && !entry.is_promised());
        entry.gone();
        assert!(!entry.may_be(1), "a removal that was answered is for good");
    }

    #[test]
    fn a_store_that_was_cut_off_may_be_there_until_somebody_looks() {
        let mut entry = Entry::default();
        entry.begin();
        let mut later = entry;
        later.begin();
        later.refused();
        assert!(later.may_be(1) && !later.may_be(2), "it was refused, since the first is there");
        let there = CutOff { store: Some(true), removal: None };
        assert_eq!(entry.settle(Some(1)), there);
        assert!(entry.may_be(1) && entry.is_promised());
        entry.remove();
        entry.begin();
        let removed = CutOff { store: Some(false), removal: Some(true) };
        assert_eq!(entry.settle(None), removed);
        assert!(!entry.may_be(1) && !entry.may_be(2), "a daemon that is dead stores nothing");
    }

    #[test]
    fn a_reader_may_see_what_was_there_before_or_was_begun_meanwhile() {
        let mut before = Entry::default();
        before.begin();
        before.stored();
        let mut after = before;
        assert!(before.demands(&after));
        after.gone();
        after.begin();
        assert!(before.allows(&after, 1) && before.allows(&after, 2));
        assert!(!before.allows(&after, 3) && !before.demands(&after));
        assert!(!after.allows(&after, 1), "it was removed before this reader asked");
    }
}
