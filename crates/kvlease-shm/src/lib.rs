//! The arena: one file on tmpfs that the daemon owns, and that clients map to read objects from.
//!
//! This is the one crate of the workspace that touches bytes shared between processes, and the
//! one that uses `unsafe`. What it promises to the rest:
//!
//! * [`Arena`] is one inode for good. A restarted daemon reopens the file with its bytes; nothing
//!   here truncates, shrinks or recreates it, because a client that mapped it would never notice.
//! * A public name that exists is whole, and comes back when a client's exit removed it
//!   ([`Arena::keep_linked`]).
//! * Memory that cannot be had is an error ([`ArenaError`], [`Shortfall`]), never a `SIGBUS`.
//! * [`Manifest`] remembers through a `kill -9` which objects the arena has.
//! * [`LeaseFence`] remembers through a `kill -9` which parts of the arena may still be leased.
//! * [`Generations`] lets readers of other processes see that an object is still where it was.
//! * Every byte that enters or leaves goes through the [`copy`] module, and is summed by a
//!   [`Digest`] on the way in.
//!
//! Arena bytes are hostile: clients may write to them. Nothing is parsed from them, no reference
//! to them is ever formed, and whoever takes bytes out checks their checksum.

#![expect(unsafe_code, reason = "mapping and copying shared memory has no safe form")]

mod arena;
mod attachment;
mod clock;
pub mod copy;
mod descriptor;
mod digest;
mod directory;
mod error;
mod external;
#[cfg(feature = "python")]
mod external_python;
mod file_header;
mod generations;
mod huge;
mod lease_fence;
mod limits;
mod link;
mod manifest;
#[cfg(feature = "python")]
mod mapped_python;
mod mapping;
mod name;
mod object_copy;
mod options;
mod populate;
mod prefault;
mod process;
mod segment;
mod sigbus;
mod socket;
mod words;
mod writable;
mod xxh3;

pub use arena::Arena;
pub use attachment::{Attachment, OutOfBounds};
pub use clock::boot_time;
pub use digest::Digest;
pub use error::ArenaError;
pub use external::{ExternalBuffer, ExternalBytes, ExternalVec, KeepAlive};
pub use generations::{Generations, GenerationsView};
pub use lease_fence::{LeaseFence, LeaseFenceOrigin, REGION_SIZE};
pub use limits::MemoryLimits;
pub use link::LinkStatus;
pub use manifest::{Manifest, ManifestFile, ManifestOrigin, StoredManifest};
#[cfg(feature = "python")]
pub use mapped_python::MappedBytes;
pub use name::{SEGMENT_NAME_LEN_MAX, SegmentName, SegmentNameError};
pub use object_copy::{COPY_PIECE_LEN, CopyOutcome, ObjectCopy};
pub use options::{DEFAULT_SEGMENT_DIR, DEFAULT_SEGMENT_MODE, SegmentOptions};
pub use populate::{Progress, Shortfall};
pub use process::process_id;
pub use segment::Identity;
pub use sigbus::explain_sigbus;
pub use socket::set_receive_low_water;
pub use writable::WritableAttachment;
