//! Where the catalog and the arena meet: storing, leasing and reading objects, and the work that
//! goes on behind that. Asynchronous where something is waited for; knows no HTTP.
//!
//! * A [`Put`] is an object being written: dropping it leaves no trace, [`Put::seal`] publishes.
//! * A [`Reservation`] is one that a client writes into the arena by itself: dropping it leaves no
//!   trace, [`Reservation::commit`] publishes.
//! * A [`LeaseGuard`] is a lease nobody has been told of yet: dropping it releases the lease,
//!   [`LeaseGuard::deliver`] hands it to the client.
//! * A [`Read`] streams an object out of the arena and checks its checksum on the way.
//!
//! One mutex guards the catalog together with the writers that others wait for. It is never held
//! across an `await`, a copy, or a system call.

#![forbid(unsafe_code)]

mod batch;
mod cells;
mod clock;
mod config;
mod counters;
mod cursor;
mod engine;
mod error;
mod lease;
mod maintenance;
mod put;
mod read;
mod recovery;
mod reservation;
mod scrub;
#[cfg(test)]
mod simulation;
mod state;
mod verify;
mod write;

pub use batch::{GrantedLease, Leased};
pub use config::{EngineConfig, RESERVATION_TTL_DEFAULT, SCRUB_RATE_DEFAULT};
pub use counters::CountersSnapshot;
pub use engine::{Engine, EngineStats};
pub use error::{CommitError, LeaseRefused, PutError, RemoveRefused, StartError};
pub use lease::LeaseGuard;
pub use put::Put;
pub use read::{READ_PIECE_MAX, Read, ReadError};
pub use recovery::Recovery;
pub use reservation::Reservation;
pub use write::Stored;
