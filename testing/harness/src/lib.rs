//! Harness for tests, drills and soaks: a daemon as a process, HTTP by hand, payloads that can be
//! verified, and the oracle of versions.
//!
//! | module | contents |
//! |---|---|
//! | [`Launch`], [`Daemon`] | a daemon process with a segment of its own, cleaned up on drop |
//! | [`Endpoint`] | calls to a daemon at an address, whether it is a process or a `Server` of the test |
//! | [`wire`] | the one speaker of raw HTTP, also for requests that no well-behaved client sends |
//! | [`Payload`] | bytes that name their key, their version and their position |
//! | [`oracle`] | which versions of an object a reader may see |
//! | [`StockClient`] | a client as the stock ones are, with no check of its own |
//! | [`Valkey`] | a store below a daemon as a process, to be stopped, filled, killed and tampered with |
//! | [`Segment`] | a unique segment name and the files under it |
//!
//! Calls return errors, so that a soak can report them: those of the system, those of the daemon with
//! its log, and a reply that is not the expected one. Docs name only further ones. The methods of
//! [`wire::Wire`] without `try_` in their name panic, since an error there is the failure of a test.
//!
//! The crate knows the protocol (`kvlease-api`) and no client library. Crates below `kvlease-api` use
//! `kvlease-testing`, the layer below this one.

#![forbid(unsafe_code)]

mod binary;
mod daemon;
mod endpoint;
mod launch;
pub mod oracle;
mod payload;
mod segment;
mod stock;
mod stop;
mod valkey;
mod wait;
pub mod wire;

pub use binary::daemon_binary;
pub use daemon::{Daemon, KILLED, STARTS_WITHIN};
pub use endpoint::{Endpoint, object};
pub use launch::{Launch, unused_address, with_default_signals};
pub use payload::{Payload, WORD, WrongBytes};
pub use segment::{SHM_DIR, Segment};
pub use stock::{Attaches, StockClient, StockRead};
pub use valkey::Valkey;
pub use wait::{POLL, SOON, await_that, until, until_every};
