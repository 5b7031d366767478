//! Tiers below the arena: where objects are kept that leave DRAM, and from where they come back.
//!
//! A [`Tier`] keeps whole objects under their names. It takes the bytes of an object from a
//! [`Source`] and delivers them to a [`Destination`], piece by piece and in order, so an
//! implementation moves them between its own buffers and the arena without a copy of the whole.
//!
//! Guarantee of every tier: an object that comes back has the bytes that were stored under its name.
//! The tier keeps name, length and checksum with the bytes, compares all three, and completes a
//! destination only if they are right. Everything else is absence or an error.
//!
//! Tiers know no leases, no arena and no catalog. Deadlines, retries and the decision to use a tier
//! are its user's: each answer is a future that may be dropped.

#![forbid(unsafe_code)]

mod error;
mod object;
mod tier;
mod transfer;
mod url;

pub use error::TierError;
pub use object::{Listed, Name, Page, Presence, Stat, Usage};
pub use tier::{Answer, Tier};
pub use transfer::{Destination, Loaded, Object, Source, SourceChanged, Stored};
pub use url::without_credentials;
