//! Requests of callers, each in its file: batch-first, a single key being a batch of one. HTTP and
//! the fast lane call the same functions.
//!
//! Each call works through its batch in parts of [`PART`](part::PART): the mutex is taken once per part and
//! let go between parts, so that no batch keeps others waiting for longer than a part takes.

mod acquire;
mod commit;
mod exists;
mod note_reads;
mod part;
mod prepare;
mod release;
mod remove;
mod renew;
mod reserve;
mod store;

pub(crate) use acquire::ROOM_PAUSE;
pub use renew::Renewed;
pub use reserve::ReserveLimits;
pub use store::{NotStored, StoreItem};
