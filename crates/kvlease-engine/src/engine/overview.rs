//! Views for operators who look at the whole: in a bounded time, whatever there is.

use kvlease_cache::LeaseAges;

use super::Engine;
use crate::{bucket_totals::LargestBuckets, events::Event};

impl Engine {
    /// The `limit` largest buckets by bytes, and all others in sum.
    pub fn largest_buckets(&self, limit: usize) -> LargestBuckets {
        self.shared.largest_buckets(limit)
    }

    /// Live leases by their age; the first 262,144 places of the table of leases are looked at.
    pub fn lease_ages(&self) -> LeaseAges {
        self.shared.lease_ages()
    }

    /// The latest events, newest first: at most `max`, of the latest 256 changes. Nothing is collected for
    /// it, unlike for a [`Subscription`](crate::Subscription).
    pub fn latest_events(&self, max: usize) -> Vec<Event> {
        self.shared.latest_events(max)
    }
}
