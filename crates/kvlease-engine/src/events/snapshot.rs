//! Snapshot: the objects that are there, page by page.

use std::sync::Arc;

use kvlease_cache::{ListCursor, ObjectInfo};

use crate::shared::Shared;

/// The objects that clients can name, page by page, in no particular order.
///
/// The catalog changes meanwhile: an object that comes or leaves may be in it or not. The events from
/// [`next`](Self::next) on tell, whichever of them the snapshot shows already: a reader that applies the
/// pages and then these events has exactly the objects that are there.
#[derive(Debug)]
pub struct Snapshot {
    shared: Arc<Shared>,
    next: u64,
    cursor: Option<ListCursor>,
}

impl Snapshot {
    /// Snapshot before which all changes up to number `next` had been applied.
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, next, cursor: Some(ListCursor::default()) }
    }

    /// Number of the first event that the snapshot may lack.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// At most `limit` objects, maybe none; `None` behind the last page. A call locks the catalog for one
    /// part of its slots.
    pub fn page(&mut self, limit: usize) -> Option<Vec<ObjectInfo>> {
        let (page, next) = self.shared.lock_state().catalog.list_all(self.cursor?, limit);
        self.cursor = next;
        Some(page)
    }
}
