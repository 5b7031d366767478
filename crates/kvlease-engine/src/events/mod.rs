//! Events: what the daemon publishes and unpublishes, for subscribers outside of it.
//!
//! The catalog's change log is the one source. A thread of its own, the collector, reads the
//! [`ChangeFeed`](kvlease_cache::ChangeFeed) a few hundred times a second while there are subscribers,
//! and does nothing while there are none. So no request ever waits for a subscriber, or wakes one:
//!
//! * requests append to the feed as they always do;
//! * the collector copies a bounded number of changes under the readers' lock, without allocating
//!   anything for their names, and appends them to a log whose memory is bounded;
//! * each [`Subscription`] reads that log at its own pace. One that is so slow that its next event has
//!   left the log is told so, and takes a [`Snapshot`].
//!
//! Events have the numbers of their changes. Numbers rise, with gaps where a change is of no interest
//! to subscribers. Numbers of another incarnation mean nothing in this one.

mod collector;
mod event;
mod hub;
mod latest;
mod log;
mod snapshot;
mod subscription;

pub(crate) use collector::collect;
pub use event::{Event, EventKind};
pub(crate) use hub::Hub;
pub use hub::{EVENTS_MEMORY_DEFAULT, SUBSCRIBERS_MAX};
pub use snapshot::Snapshot;
pub use subscription::{Delivery, Subscription};
