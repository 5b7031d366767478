//! Access log: one line of JSON for each request, or for one in many, without keys, contents and secrets.
//!
//! Errors are always in it. `docs/access-log.md` has the format.

mod line;
mod log;

pub(crate) use line::{FrameLine, RequestLine};
pub(crate) use log::AccessLog;
