//! The protocols between threads in this module, in every order of their steps.
//!
//! The files are compiled once more, over the checker's locks; stand-ins replace what they use.

#![expect(clippy::duplicate_mod, reason = "each file once more, over other locks")]

mod connection;
#[path = "../connection_state.rs"]
mod connection_state;
#[path = "../pool.rs"]
mod pool;
mod pooling;
#[path = "../renewals.rs"]
mod renewals;
mod renewing;
mod sync;
