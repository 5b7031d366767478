//! Soak and kill drills: a real daemon and real client processes, so that `SIGKILL` means what it
//! means in production.
//!
//! The soak races writers and readers far above the arena's capacity, kills them in the middle of
//! what they do, and asks two questions: was any byte that a reader was entitled to ever wrong,
//! and is every byte of the arena free again at the end. The drills, in this package's tests, do
//! one bad thing at a time.
//!
//! | module | what it is |
//! |---|---|
//! | [`Daemon`] | a daemon process with a segment of its own, cleaned up whatever happens |
//! | [`wire`] | HTTP by hand, for clients that misbehave |
//! | [`Payload`] | bytes that tell whose they are, of which version, and where they belong |
//! | [`soak`] | the soak: clients, supervisor, report |
//! | [`beside`] | clients of HTTP, timed beside many of the fast lane |
//! | [`restarts`] | the daemon killed again and again, and what it still has |
//! | [`actor`] | single processes for the drills to kill |

#![forbid(unsafe_code)]

pub mod actor;
pub mod beside;
mod daemon;
mod interrupt;
mod leftover;
mod payload;
mod random;
pub mod restarts;
mod segment;
pub mod soak;
mod wait;
pub mod wire;

pub use daemon::{Daemon, DaemonSpec, KILLED, STARTS_WITHIN, serve_command};
pub use leftover::Leftover;
pub use payload::{Payload, WORD, WrongBytes};
pub use random::{Random, mix};
pub use segment::{SHM_DIR, Segment};
pub use wait::{POLL, until};
