//! The fast lane: a Unix socket for clients on this machine, beside HTTP.
//!
//! A connection is one task. It reads all bytes that are there, handles all whole frames, and
//! writes all answers at once; nothing but an acquire that waits for a writer has a task of its
//! own. The frames are those of [`kvlease_api::lane`].
//!
//! Invariant: leases and reservations belong to the connection that they were granted to.
//! A client that goes away gives them back by that; one that the daemon turns away may still be
//! copying or writing, so its leases live until their deadlines, and its reservations are held
//! until its client cannot be writing into them any more.

mod accept;
mod acquire;
mod answers;
mod asked;
mod connection;
mod directory;
mod gate;
mod handshake;
mod inbox;
mod index;
mod leases;
mod listening;
mod names;
mod noted;
mod outgoing;
mod peer;
mod reservations;
mod rising;
mod session;
mod socket;

use kvlease_api::lane::EXTENTS_MAX;
use kvlease_cache::EXTENTS_PER_OBJECT_MAX;

pub(crate) use accept::accept;
pub(crate) use directory::remove as remove_directory;
pub(crate) use socket::Socket;

const _: () = assert!(EXTENTS_PER_OBJECT_MAX == EXTENTS_MAX, "every object fits a record");
