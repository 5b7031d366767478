//! The arena as the daemon owns it: one file on tmpfs, which clients map to read objects from.
//!
//! Promises to the rest of the daemon:
//!
//! * [`Arena`] is one inode for good. A restarted daemon reopens the file with its bytes. Nothing
//!   here truncates, shrinks or recreates it: a client that mapped it would never notice.
//! * A public name that exists is whole, and comes back when a client's exit removed it
//!   ([`Arena::keep_linked`]).
//! * A lack of memory is an error ([`ArenaError`], [`Shortfall`]), never a `SIGBUS`.
//! * [`Manifest`] keeps through a `kill -9` which objects the arena has.
//! * [`LeaseFence`] keeps through a `kill -9` which parts of the arena may still be leased.
//! * [`Generations`] shows readers of other processes whether an object is still where it was.
//! * [`PublishedIndex`] shows them where the objects are, and [`Incarnation`] whether the arena still
//!   is that of the daemon that published them.
//!
//! Arena bytes are hostile: clients may write to them. Nothing is parsed from them, and a caller
//! that copies bytes out compares their checksum.

#![forbid(unsafe_code)]

mod arena;
mod directory;
mod error;
mod file_header;
mod generations;
mod huge;
mod incarnation;
mod lease_fence;
mod limits;
mod link;
mod manifest;
mod options;
mod populate;
mod published_index;
mod sealed;
mod segment;
mod undo;

pub use arena::Arena;
pub use error::ArenaError;
pub use generations::Generations;
pub use incarnation::Incarnation;
pub use lease_fence::{Beyond, LeaseFence, LeaseFenceOrigin, REGION_SIZE};
pub use limits::{GroupMemory, MemoryLimits};
pub use link::LinkStatus;
pub use manifest::{Manifest, ManifestFile, ManifestOrigin, StoredManifest};
pub use options::{DEFAULT_SEGMENT_MODE, SegmentOptions};
pub use populate::{Progress, Shortfall};
pub use published_index::PublishedIndex;
pub use undo::{Undo, remove_segment};
