//! The arena as clients see it: a mapping of their own, unknown to the daemon.
//!
//! * [`Attachment`] is a read-only mapping, which copies objects out.
//! * [`ObjectCopy`] is the copy of one object, shared by several threads.
//! * [`WritableAttachment`] writes objects into the extents that the daemon reserved for them.
//! * [`GenerationsView`] shows whether an object is still where it was when it was leased.
//! * [`IndexView`] shows where objects are, without asking the daemon.
//!
//! Extents come from the daemon and are checked against the mapping before they are used. Bytes
//! belong to the object only if the lease, or the generation, still held after the copy.

#![forbid(unsafe_code)]

mod attachment;
mod bounds;
mod descriptor;
mod generations;
mod index;
mod object_copy;
mod prefault;
mod trust;
mod writable;

pub use attachment::Attachment;
pub use bounds::OutOfBounds;
pub use generations::GenerationsView;
pub use index::{IndexView, PublishedObject};
pub use object_copy::{COPY_PIECE_LEN, CopyOutcome, ObjectCopy};
pub use trust::TrustedUsers;
pub use writable::WritableAttachment;
