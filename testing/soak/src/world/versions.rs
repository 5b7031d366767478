//! Oracle of a world: the versions of each key that each segment may have.
//!
//! Each key has one writer, which numbers its versions. A store that was not answered may have had
//! its effect, and may still have it *late*, as long as the daemon lives that it was sent to: a
//! stopped daemon finds it in its socket when it goes on. A call during which its daemon changed may
//! have reached any segment. A client that reads by the published index may have that of a daemon that has
//! ended, until it asks.

use std::collections::BTreeSet;

/// Number of segments.
pub(super) const SEGMENTS: usize = 2;

/// Versions of one key.
#[derive(Clone, Default, Debug)]
pub(super) struct Versions {
    /// Last version whose store was begun.
    begun: u64,
    segments: [InSegment; SEGMENTS],
}

/// Versions of one key in one segment.
#[derive(Clone, Default, Debug)]
struct InSegment {
    /// Versions that may be there now.
    may: BTreeSet<u64>,
    /// Versions that may still come.
    late: BTreeSet<u64>,
}

/// Answer to a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    /// It is there.
    Yes,
    /// It is not there and will not be.
    No,
    /// It may be there, or come.
    Unknown,
}

impl Versions {
    /// Begins the store of the next version, and returns it.
    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.doubt(self.begun);
        self.begun
    }

    /// The store was answered. `segment` is the one that it reached, if that is known.
    pub(super) fn stored(&mut self, version: u64, segment: Option<usize>, stored: Stored) {
        // Its daemon may have changed, and the next one may have it in its socket.
        self.doubt(version);
        let Some(reached) = segment else { return };
        for (number, segment) in self.segments.iter_mut().enumerate() {
            if number != reached || stored == Stored::No {
                segment.may.remove(&version);
                segment.late.remove(&version);
            } else if stored == Stored::Yes {
                segment.late.remove(&version);
                segment.may.clone_from(&segment.late);
                segment.may.insert(version);
            }
        }
    }

    /// A removal was answered that reached this segment.
    pub(super) fn removed(&mut self, segment: usize) {
        let segment = &mut self.segments[segment];
        segment.may.clone_from(&segment.late);
    }

    /// The daemon of this segment is dead: nothing comes late.
    pub(super) fn died(&mut self, segment: usize) {
        self.segments[segment].late.clear();
    }

    /// The files of the segment are gone, and no daemon serves it.
    pub(super) fn erased(&mut self, segment: usize) {
        self.segments[segment] = InSegment::default();
    }

    /// True if a reader may have got this version that asked in the state `self` and was answered in
    /// the state `after`, by the daemon of this segment, if that is known.
    pub(super) fn allows(&self, after: &Self, segment: Option<usize>, version: u64) -> bool {
        let meanwhile = self.begun < version && version <= after.begun;
        let may = |state: &Self, number: usize| state.segments[number].may.contains(&version);
        let mut reached =
            (0..SEGMENTS).filter(|number| segment.is_none_or(|known| known == *number));
        meanwhile || reached.any(|number| may(self, number) || may(after, number))
    }

    fn doubt(&mut self, version: u64) {
        for segment in &mut self.segments {
            segment.may.insert(version);
            segment.late.insert(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(versions: &Versions, segment: usize) -> Vec<u64> {
        (0..9).filter(|version| versions.allows(versions, Some(segment), *version)).collect()
    }

    #[test]
    fn a_store_with_an_answer_is_the_one_version_of_its_segment() {
        let mut versions = Versions::default();
        assert_eq!(versions.begin(), 1);
        assert_eq!((may(&versions, 0), may(&versions, 1)), (vec![1], vec![1]));
        versions.stored(1, Some(0), Stored::Yes);
        assert_eq!((may(&versions, 0), may(&versions, 1)), (vec![1], vec![]));
        versions.begin();
        versions.stored(2, Some(0), Stored::No);
        assert_eq!((may(&versions, 0), may(&versions, 1)), (vec![1], vec![]));
        versions.removed(0);
        assert!(may(&versions, 0).is_empty());
    }

    #[test]
    fn a_store_without_an_answer_may_come_after_a_removal_until_its_daemon_is_dead() {
        let mut versions = Versions::default();
        versions.begin();
        versions.stored(1, Some(1), Stored::Unknown);
        versions.removed(1);
        versions.begin();
        versions.stored(2, Some(1), Stored::Yes);
        assert_eq!((may(&versions, 0), may(&versions, 1)), (vec![], vec![1, 2]));
        versions.died(1);
        versions.removed(1);
        assert!(may(&versions, 1).is_empty());
    }

    #[test]
    fn a_reader_may_get_a_version_that_was_there_before_or_was_begun_meanwhile() {
        let mut before = Versions::default();
        before.begin();
        before.stored(1, Some(0), Stored::Yes);
        let mut after = before.clone();
        after.removed(0);
        after.begin();
        after.stored(2, None, Stored::Unknown);
        assert!(before.allows(&after, Some(0), 1) && before.allows(&after, Some(0), 2));
        assert!(before.allows(&after, None, 1) && !before.allows(&after, Some(1), 1));
        assert!(!after.allows(&after, None, 1) && !before.allows(&after, None, 3));
        after.erased(0);
        assert!(!after.allows(&after, Some(0), 2) && after.allows(&after, Some(1), 2));
    }
}
