//! The latest events, for those who look now and then and subscribe to nothing.

use super::event::Event;
use crate::shared::Shared;

/// The most changes that are looked at: the feed is locked meanwhile, which drains of requests wait for.
const CHANGES_MAX: u64 = 256;

impl Shared {
    /// See [`Engine::latest_events`](crate::Engine::latest_events).
    pub(crate) fn latest_events(&self, max: usize) -> Vec<Event> {
        let readers = self.lock_readers();
        let feed = &readers.feed;
        let from = feed.oldest().max(feed.next().saturating_sub(CHANGES_MAX));
        let changes = feed.read(from).into_iter().flatten().collect::<Vec<_>>();
        changes.into_iter().rev().filter_map(Event::of).take(max).collect()
    }
}
