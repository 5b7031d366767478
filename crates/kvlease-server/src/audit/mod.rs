//! Audit log: who did what, when, and what came of it, as lines of JSON without keys, contents and secrets.
//!
//! A request puts its line into a queue and never waits; a thread writes. `docs/tenants.md` has the format.

mod levels;
mod log;
mod queue;
mod writer;

pub(crate) use levels::{level_of_endpoint, level_of_frame};
pub(crate) use log::{Audit, Entry};
