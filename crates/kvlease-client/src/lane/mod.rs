//! The fast lane: a daemon's Unix socket, for clients on its machine.
//!
//! * Many keys go in one frame; the answer names every extent.
//! * Objects are written into the arena itself: reserved, filled, committed.
//! * The arena and the table of generations come as descriptors: no segment's name is needed, and a
//!   read is validated without asking anybody, by a generation and a deadline.
//! * Leases and reservations belong to their connection, and end with it.
//!
//! A [`Lane`] is about one incarnation of a daemon. Once the socket breaks it is of no more use: the
//! leases that it granted have ended, which their generations tell, and another one has to be
//! opened. The format is in `docs/fast-lane.md`.

mod arrived;
mod batch;
mod calls;
mod connection;
mod error;
mod handshake;
mod lease;
mod link;
#[cfg(test)]
mod models;
mod open;
mod put;
mod renewals;
mod session;
mod turns;

use std::sync;

use tokio::{
    sync::{Notify, oneshot},
    time,
};

pub use calls::Found;
pub use error::LaneError;
pub use lease::LaneLease;
pub(crate) use open::LaneCounts;
pub use open::{LANE_CONNECTIONS_MAX, Lane};
pub use put::{LanePut, Reservation};
