//! The fast lane: the frames that go over the daemon's Unix socket, for both ends.
//!
//! Nothing here does I/O. A frame is a header and a payload ([`Frame::split`]); a payload becomes
//! a [`Request`] or an [`Answer`], which borrow names and lists from it. Frames are written by
//! appending to a buffer that the caller sends.
//!
//! What it protects: the other end may send anything. Decoding never panics, allocates nothing,
//! looks at every byte, and takes only what the format says, so that each accepted payload has
//! one meaning. Lists are checked as a whole before the first item is given out.
//!
//! The format, byte by byte, is in `docs/fast-lane.md`; golden files hold one frame of each kind.

#[macro_use]
mod numbered;

mod answer;
mod commit;
mod done;
mod extents;
mod failure;
mod frame;
mod hello;
mod ids;
mod index;
mod kind;
mod leases;
mod limits;
mod list;
mod malformed;
mod names;
mod prepare;
mod reader;
mod records;
mod request;
mod reservations;
mod reserve;
mod status;
mod store;

pub use answer::Answer;
pub use commit::{Commit, CommitWriter, Commits};
pub use done::{Statuses, write_done, write_renewed};
pub use extents::Extents;
pub use failure::{Failure, FailureCode, write_failure};
pub use frame::{Frame, FrameTooLong};
pub use hello::{Hello, MAGIC, VERSION, Welcome};
pub use ids::{Ids, IdsWriter};
pub use index::{Indexed, Used, UsedObjects, UsedWriter, write_index};
pub use kind::Kind;
pub use kvlease_types::Mode;
pub use leases::{LeaseGrant, LeaseRecord, Leases, LeasesWriter};
pub use limits::{ANSWER_LEN_MAX, EXTENTS_MAX, FRAME_LEN_MAX, HEADER_LEN, KEYS_MAX};
pub use list::Full;
pub use malformed::Malformed;
pub use names::{Keys, KeysWriter, Unfit};
pub use prepare::{Lengths, PrepareWriter};
pub use request::{Acquire, Lookup, Request};
pub use reservations::{ReservationRecord, Reservations, ReservationsWriter};
pub use reserve::{RequestedObject, RequestedObjects, Reserve, ReserveWriter};
pub use status::{DoneStatus, LeaseStatus, ReserveStatus};
pub use store::{Store, StoreWriter, StoredObject, StoredObjects};
