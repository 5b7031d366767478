//! Audit log: who did what, when, and what came of it, as lines of JSON without keys, contents and secrets.
//!
//! `docs/tenants.md` has the format.

mod levels;
mod log;

pub(crate) use levels::{level_of_endpoint, level_of_frame};
pub(crate) use log::{Audit, Entry};
