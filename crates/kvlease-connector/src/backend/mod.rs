//! Ways to one daemon's objects: the fast lane and HTTP.
//!
//! A call is about a batch of keys; a single key is a batch of one. Leases are guards: dropping one
//! releases it in the background.

mod api;
mod http;
mod index;
mod lane;
mod lane_put;

pub use api::{Answers, Backend, LeaseGuard, PartialAnswers};
pub use http::{HttpBackend, HttpLease};
pub use index::UnleasedObject;
pub use lane::LaneBackend;
pub(crate) use lane_put::put_outcome;
