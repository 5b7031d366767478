//! Conformance suite of tiers: the cases that every implementation of [`Tier`] passes against the
//! real store.
//!
//! An implementation gives a [`Store`]: how a tier is opened, and what can be done to the store
//! behind the tier's back. [`conformance_tests!`] makes one test of each case:
//!
//! ```
//! use std::sync::Arc;
//!
//! use kvlease_tier::Tier;
//! use kvlease_tier_conformance::{MemoryServer, MemoryTier, Step, Store};
//!
//! #[derive(Default)]
//! struct Example(Arc<MemoryServer>);
//!
//! impl Store for Example {
//!     fn open(&self) -> Step<'_, Arc<dyn Tier>> {
//!         let tier: Arc<dyn Tier> = Arc::new(MemoryTier::of(Arc::clone(&self.0)));
//!         Box::pin(async { tier })
//!     }
//! }
//!
//! kvlease_tier_conformance::conformance_tests! {
//!     Example::default,
//!     flipped_bit: "the example has no hook for corrupt objects",
//! }
//! # fn main() {}
//! ```
//!
//! A hook that a store does not have answers [`NotPossible`]. The cases that need it are listed with a
//! reason, as above. A case that is missing from the list fails, and so does one that is listed and
//! possible.
//!
//! Besides the suite, the crate has what tests of a tier's user need: [`Sample`],
//! [`MemorySource`], [`MemoryDestination`], and a tier with switches, [`MemoryTier`].
//!
//! [`Tier`]: kvlease_tier::Tier

#![forbid(unsafe_code)]

mod call_counts;
mod calls;
mod cases;
mod destination;
mod macros;
mod memory;
mod run;
mod sample;
mod source;
mod store;

pub use call_counts::CallCounts;
pub use cases::CASES;
pub use destination::{Delivered, Delivery, MemoryDestination};
pub use memory::{MemoryServer, MemoryTier};
pub use run::{Case, run};
pub use sample::Sample;
pub use source::{MemorySource, Progress};
pub use store::{Damage, NotPossible, ROOM_MIN, Step, Store};
