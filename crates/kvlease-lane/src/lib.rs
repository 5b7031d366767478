//! The fast lane: a daemon's Unix socket, for clients on its machine.
//!
//! * Many keys go in one frame; the answer names every extent.
//! * Objects are written into the arena itself: reserved, filled, committed. Small ones are written into
//!   space that was reserved ahead of need, and committed with one exchange, whose answer a caller need
//!   not wait for.
//! * The arena and the table of generations come as descriptors: no segment's name is needed, and a
//!   read is validated without a call, by a generation and a deadline.
//! * Objects that the daemon's published index names are found and read without a call at all.
//! * Leases and reservations belong to their connection, and end with it.
//!
//! A [`Lane`] is about one incarnation of a daemon. Once the socket breaks it is of no more use: the
//! leases that it granted have ended, which their generations tell, and another one has to be
//! opened. The format is in `docs/fast-lane.md`.

#![forbid(unsafe_code)]

mod acquire;
mod arrived;
mod batch;
mod connection;
mod connection_state;
mod error;
mod handshake;
mod index;
mod lane_core;
mod late;
mod lease;
#[cfg(test)]
mod models;
mod open;
mod outcome;
mod pool;
mod posted;
mod put;
mod reads;
mod renewals;
#[cfg(test)]
mod replay;
mod report;
mod session;
mod spares;
mod store;
mod sync;
mod unanswered;

pub use acquire::AcquireOutcome;
pub use error::LaneError;
pub use index::IndexedObject;
pub use lane_core::LaneCounts;
pub use lease::LaneLease;
pub use open::{LANE_CONNECTIONS_MAX, Lane, WeakLane};
pub use outcome::{LanePut, LaneRemoval};
pub use posted::{Post, PostObserver};
pub use put::Reservation;
