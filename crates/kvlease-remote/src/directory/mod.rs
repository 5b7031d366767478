//! Directory: what the nodes have stored, so that a name that no node stored costs no call.
//!
//! Each node publishes the fingerprints of the objects that it stored, in entries that only it writes,
//! and reads those of the others every few seconds. A store is complete once its fingerprint is
//! published, so no acknowledged object is missing from the directory. A fingerprint stays when its
//! object is removed: such a name costs a call.

mod entry;
mod index;
mod shared;
mod shelf;
mod task;
mod tier;

pub(crate) use shelf::Shelf;
pub(crate) use tier::WithDirectory;
