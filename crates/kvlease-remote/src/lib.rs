//! Tiers in distributed stores that exist: S3-compatible object storage, Valkey and Redis.
//!
//! [`open()`] turns a URL into a [`Tier`](kvlease_tier::Tier). Both kinds of store hold the same
//! values under the same names, which `docs/remote-tier.md` describes byte by byte:
//!
//! * a name is `PREFIX/v1/BUCKET/KEY`, readable in a listing of the store and reversible;
//! * a value is a header, the name of the object, and its bytes. Length, name and checksum are
//!   compared before a byte is published, so a truncated, exchanged or foreign value is an error.
//!
//! Nothing rests on the store's conditional writes: all writers of a name write the same bytes.
//! Every round trip has a deadline of its own, and all transfers of a tier share one budget of
//! memory. Credentials appear in no message, log or `Debug` output.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "s3", feature = "valkey")),
    expect(dead_code, reason = "a build with one kind of store uses its part of what both share")
)]

#[cfg(not(any(feature = "s3", feature = "valkey")))]
compile_error!("build kvlease-remote with the feature `s3`, the feature `valkey`, or both");

mod authorities;
mod budget;
mod chunks;
mod deadline;
mod delivery;
mod directory;
mod error;
mod head;
mod layout;
mod location;
mod open;
mod options;
mod parts;
mod remedy;
#[cfg(feature = "s3")]
mod s3;
mod secret;
mod segment;
mod tier;
#[cfg(feature = "valkey")]
mod valkey;

pub use error::RemoteError;
pub use open::{SCHEMES, check, open};
pub use options::{AccessKey, Lookup, Options};
pub use secret::Secret;
