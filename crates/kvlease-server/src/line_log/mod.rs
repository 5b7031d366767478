//! Logs of JSON lines about requests. A request puts its line into a queue and never waits; a thread writes.

mod kind;
mod log;
mod queue;
mod writer;

pub(crate) use kind::LineLogKind;
pub(crate) use log::LineLog;
pub(crate) use queue::unix_ms;
