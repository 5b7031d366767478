//! Soak and kill drills: a real daemon and real client processes, so that `SIGKILL` means what it
//! means in production.
//!
//! | module | program |
//! |---|---|
//! | [`soak`] | writers and readers that race far above the arena's capacity and are killed on the way |
//! | [`restarts`] | a daemon that is killed again and again, and its objects after each start |
//! | [`interference`] | calls over HTTP, timed beside many clients of the fast lane |
//! | [`drill`] | single processes that the drills in this package's tests kill |
//! | [`world`] | two daemons, clients of all kinds and strangers, in any order of starts and stops |
//! | [`scribble`] | a client that writes garbage all over the arena, while others store and read |
//! | [`neighbour`] | processes of another user that attack a daemon and its clients |
//!
//! Two questions are the same in all of them: was any byte wrong that a reader was entitled to, and
//! is every byte of the arena free again at the end. Daemons, payloads and the oracle of versions
//! come from `kvlease-harness`; the module `clients` is the adapter to kvlease's client libraries.

#![forbid(unsafe_code)]

mod clients;
mod counts;
pub mod drill;
pub mod interference;
mod interrupt;
mod launch;
mod leftover;
mod limits;
pub mod neighbour;
mod output;
pub mod restarts;
pub mod scribble;
pub mod soak;
mod stores;
pub mod tiers;
mod verdict;
mod workload;
pub mod world;

pub use clients::{Place, Way};
pub use counts::Count;
pub use leftover::Leftover;
