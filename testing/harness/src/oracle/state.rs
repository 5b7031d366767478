//! Rules of the oracle for one key.

/// State of one key, which follows from its writer's requests and their answers.
///
/// A version is *pending* from the start of its store to the answer. It is *doubtful* if the answer
/// never came and the daemon still lives: it may appear at any later time, even after a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyState {
    /// Last version whose store was begun.
    pub(super) begun: u64,
    /// No version below this one can be seen.
    pub(super) oldest: u64,
    /// No version above this one can be seen, except the pending one.
    pub(super) newest: u64,
    /// Doubtful version; 0 for none.
    pub(super) doubtful: u64,
    /// The last version is pending.
    pub(super) storing: bool,
    /// A removal has not been answered.
    pub(super) removing: bool,
    /// There is an object unless it was evicted: its store was answered, or it was seen while no
    /// client worked, and its removal was not requested since.
    pub(super) promised: bool,
}

/// Requests that had no answer when the daemon was killed, and whether they had an effect.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CutOff {
    /// Store: true if the object is there.
    pub store: Option<bool>,
    /// Removal: true if the object is gone.
    pub removal: Option<bool>,
}

impl Default for KeyState {
    /// Nothing was ever stored.
    fn default() -> Self {
        Self {
            begun: 0,
            oldest: 1,
            newest: 0,
            doubtful: 0,
            storing: false,
            removing: false,
            promised: false,
        }
    }
}

impl KeyState {
    /// True if there must be an object, unless it was evicted.
    pub const fn is_promised(&self) -> bool {
        self.promised
    }

    /// Last version whose store was begun; 0 for none.
    pub const fn latest(&self) -> u64 {
        self.begun
    }

    /// True if the last store has not been answered.
    pub const fn is_storing(&self) -> bool {
        self.storing
    }

    /// True if this version can be there now.
    pub const fn may_be(&self, version: u64) -> bool {
        let known = self.oldest <= version && version <= self.last();
        known || (version == self.doubtful && version > 0)
    }

    /// True if a reader may have got this version that asked in the state `self` and was answered
    /// in the state `after`.
    pub const fn allows(&self, after: &Self, version: u64) -> bool {
        let begun_meanwhile = self.begun < version && version <= after.begun;
        self.may_be(version) || begun_meanwhile
    }

    /// True if that reader must have found an object, where nothing is evicted.
    pub const fn demands(&self, after: &Self) -> bool {
        self.promised && after.promised && self.begun == after.begun
    }

    /// Begins the store of the next version, and returns it.
    pub const fn begin(&mut self) -> u64 {
        // The store before may have had its effect just before its daemon was killed.
        self.newest = self.last();
        self.begun += 1;
        self.storing = true;
        self.begun
    }

    /// The store was answered: the object is there. Returns whether one was promised before.
    pub const fn stored(&mut self) -> bool {
        let before = self.promised;
        (self.oldest, self.newest) = (self.begun, self.begun);
        (self.storing, self.removing, self.promised) = (false, false, true);
        before
    }

    /// The store was answered: it did not and will not take place.
    pub const fn refused(&mut self) {
        self.storing = false;
    }

    /// The pending store, if there is one, will never be answered although the daemon lives.
    pub const fn doubt(&mut self) {
        if self.storing {
            (self.newest, self.doubtful) = (self.begun, self.begun);
            self.storing = false;
        }
    }

    /// A removal is requested.
    pub const fn remove(&mut self) {
        (self.promised, self.removing) = (false, true);
    }

    /// There is no object, or was none at some moment after the last store was answered.
    pub const fn gone(&mut self) {
        (self.oldest, self.newest) = (self.begun + 1, self.begun);
        (self.storing, self.removing, self.promised) = (false, false, false);
    }

    /// This version is what is there while no client works, after the daemon was killed: requests
    /// without an answer will have no further effect.
    pub fn settle(&mut self, found: Option<u64>) -> CutOff {
        let cut_off = CutOff {
            store: self.storing.then_some(found == Some(self.begun)),
            removal: self.removing.then_some(found.is_none()),
        };
        self.gone();
        self.doubtful = 0;
        if let Some(version) = found {
            (self.oldest, self.newest, self.promised) = (version, version, true);
        }
        cut_off
    }

    const fn last(&self) -> u64 {
        if self.storing { self.begun } else { self.newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_promise_from_its_answer_to_the_request_for_its_removal() {
        let mut state = KeyState::default();
        assert!(!state.may_be(0) && !state.may_be(1));
        assert_eq!(state.begin(), 1);
        assert!(state.may_be(1) && !state.is_promised());
        assert!(!state.stored(), "nothing was promised before");
        assert!(state.may_be(1) && state.is_promised());
        state.remove();
        assert!(state.may_be(1) && !state.is_promised());
        state.gone();
        assert!(!state.may_be(1), "a removal that was answered is final");
    }

    #[test]
    fn a_store_that_was_cut_off_may_be_there_until_the_first_look() {
        let mut state = KeyState::default();
        state.begin();
        let mut later = state;
        later.begin();
        later.refused();
        assert!(later.may_be(1) && !later.may_be(2), "it was refused, since the first is there");
        let there = CutOff { store: Some(true), removal: None };
        assert_eq!(state.settle(Some(1)), there);
        assert!(state.may_be(1) && state.is_promised());
        state.remove();
        state.begin();
        let removed = CutOff { store: Some(false), removal: Some(true) };
        assert_eq!(state.settle(None), removed);
        assert!(!state.may_be(1) && !state.may_be(2), "a daemon that is dead stores nothing");
    }

    #[test]
    fn a_reader_may_see_what_was_there_before_or_was_begun_meanwhile() {
        let mut before = KeyState::default();
        assert!(!before.allows(&before, 0), "0 is no version");
        before.begin();
        assert!(before.allows(&before, 1), "a pending store may be seen");
        before.stored();
        let mut after = before;
        assert!(before.demands(&after));
        after.gone();
        after.begin();
        assert!(before.allows(&after, 1) && before.allows(&after, 2));
        assert!(!before.allows(&after, 3) && !before.demands(&after));
        assert!(!after.allows(&after, 1), "it was removed before this reader asked");
    }

    #[test]
    fn the_last_store_of_a_killed_writer_may_come_late() {
        let mut state = KeyState::default();
        state.begin();
        state.doubt();
        state.gone();
        state.begin();
        state.stored();
        assert!(state.may_be(1) && state.may_be(2) && !state.may_be(0));
    }

    #[test]
    fn a_doubtful_version_stays_possible_while_the_next_writer_is_killed_as_well() {
        let mut state = KeyState::default();
        state.begin();
        state.doubt();
        state.begin();
        state.doubt();
        assert!(state.may_be(1) && state.may_be(2));
        state.begin();
        state.refused();
        assert!(state.may_be(1) && !state.may_be(3));
        state.gone();
        assert!(!state.may_be(1) && state.may_be(2));
    }
}
