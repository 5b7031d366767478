//! One group of objects that leave together.

use crate::{
    eviction::{Links, List},
    slab::Entry,
};

/// Two objects or more, or what is left of them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) members: List,
    /// The member whose slot has the group's entry in the policy; `NONE` while the group is leaving: then
    /// those of its members that can be evicted are victims.
    pub(crate) leader: u32,
    /// Members that can be evicted, while there is a leader. Without any, the entry is pinned.
    pub(crate) free: u32,
    /// Units of all members.
    pub(crate) units: u32,
    /// Uses, as many as of the member that was used most. The count begins anew after 2^16.
    pub(crate) uses: u16,
    /// Whether a member was evicted since one was sealed. Then the others are of no more use.
    pub(crate) lost: bool,
}

impl Group {
    /// Memory for each object, for the accounting: the links, and the group that two share at least. An eighth
    /// is growth slack.
    pub(crate) const MEMBER_BYTES: usize =
        (Links::LINK_BYTES + size_of::<Entry<Self>>() / 2) * 9 / 8;
}
