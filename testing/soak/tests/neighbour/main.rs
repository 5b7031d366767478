//! Hostile neighbour: another user of the machine attacks a daemon and its clients. Whatever it
//! does, clients of the daemon's own user get no wrong and no foreign byte, good objects stay, and
//! the daemon serves and starts again.
//!
//! Root starts the neighbour as another user. Where the runner is not root, each test runs itself
//! again as root of a user namespace, and fails with one line where that is not possible.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connections;
mod corruption;
mod impostor;
mod leases;
mod names;
mod process;
mod uploads;
mod users;
mod victim;
