//! Groups that left lately, to tell an object that comes too late for its group.
//!
//! Ranks store their objects of a chunk one after the other. A policy that has little room for what is new may
//! choose the chunk before the last rank has come. What comes then is of no use, unless the chunk is
//! stored again: the first object of that was in the group that left.

/// Groups that are remembered: several times what ranks store while the last one is behind.
const ENTRIES: usize = 512;

/// See the module. Its memory is the same for every catalog.
#[derive(Default, Debug)]
pub(crate) struct Late {
    /// By the highest bits of the group's hash; empty before the first group leaves.
    entries: Vec<Left>,
}

/// A group that left, or a part of one.
#[derive(Clone, Copy, Default, Debug)]
struct Left {
    group: u64,
    /// A bit for each object that left.
    members: u64,
}

impl Late {
    /// Notes that an object was evicted, by the hashes of its group and of its name.
    pub(crate) fn left(&mut self, group: u64, member: u64) {
        if self.entries.is_empty() {
            self.entries = vec![Left::default(); ENTRIES];
        }
        let entry = &mut self.entries[place(group)];
        if entry.group != group {
            *entry = Left { group, members: 0 };
        }
        entry.members |= bit(member);
    }

    /// Whether an object of a group comes too late for it. One that is stored again does not, and neither do
    /// those that come behind it.
    pub(crate) fn is_late(&mut self, group: u64, member: u64) -> bool {
        let Some(entry) = self.entries.get_mut(place(group)) else { return false };
        if entry.group != group {
            return false;
        }
        if entry.members & bit(member) != 0 {
            *entry = Left::default();
            return false;
        }
        true
    }
}

const fn place(group: u64) -> usize {
    (group >> (u64::BITS - ENTRIES.ilog2())) as usize
}

const fn bit(member: u64) -> u64 {
    1 << (member % u64::BITS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_in_a_group_that_left_is_late_until_the_group_is_stored_again() {
        let mut late = Late::default();
        assert!(!late.is_late(9, 1));
        late.left(9, 1);
        late.left(9, 2);
        assert!(late.is_late(9, 3) && late.is_late(9, 4));
        assert!(!late.is_late(9, 2), "it is stored again");
        assert!(!late.is_late(9, 3), "so the others belong to that");
        late.left(9, 1);
        late.left(10, 1);
        assert!(!late.is_late(9, 3), "another group has its place");
        assert!(late.is_late(10, 3));
    }
}
