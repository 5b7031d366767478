//! Tiers below the arena: objects that leave it are demoted to them, and promoted when a client asks.
//!
//! * [`Tiers`] has the tiers in the order in which they are asked, fastest first, each as a [`Level`]
//!   with its deadline, its breaker, its measured rate and its counters.
//! * *Demotion* copies victims of eviction ahead of need, and what is stored in buckets with
//!   write-through, from a bounded queue. A full queue means that the object is not demoted. No put
//!   waits for it.
//! * *Promotion* is a write by the daemon. So it is single-flight by the name in the catalog, and
//!   readers wait for its end as for any other writer.
//! * *Removals* are of the arena first and then of one tier after the other. Until their end no promotion of the
//!   name begins.
//! * *Look-ups* count what a tier holds. A tier that does not know by itself is asked once for all
//!   keys of a request, and a late answer is not waited for.
//! * A bucket whose objects have a time to live is in the arena alone: a copy would outlive it, and no tier
//!   knows when an object was stored.

mod being_removed;
mod breaker;
mod buckets;
mod config;
mod counters;
mod demotion;
mod in_flight;
mod level;
mod listing;
mod lookup;
mod observer;
mod pace;
mod promotion;
mod queue;
mod rate;
mod removal;
mod stack;
mod transfer;
mod workers;

pub use buckets::BucketSet;
pub use config::{RATE_MIN_DEFAULT, TierConfig};
pub use counters::TierSnapshot;
pub(crate) use level::Level;
pub use listing::{Unanswered, Whereabouts};
pub(crate) use lookup::Asked;
pub use observer::{Transfer, TransferEnd, TransferObserver, TransferOutcome, TransferWay};
pub use removal::Removed;
pub use stack::TierStats;
pub(crate) use stack::Tiers;
pub(crate) use workers::TierWorkers;
