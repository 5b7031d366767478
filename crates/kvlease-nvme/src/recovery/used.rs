//! Segment of the log that a start found in use.

use crate::format::index_table::Entry;

/// Segment that is in use.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) segment: u32,
    pub(super) sequence: u64,
    pub(super) entries: Vec<Entry>,
    /// Records that are not whole.
    pub(super) dropped: u64,
    /// Whether there is no table: then one is written.
    pub(super) has_no_table: bool,
}
