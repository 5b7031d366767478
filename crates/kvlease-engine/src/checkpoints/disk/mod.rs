//! Shards on the node's disk: one file each, in a directory beside the file of the NVMe tier.
//!
//! The log of that tier forgets its oldest segments as a whole, and its objects must fit a segment. A
//! shard must not be forgotten, and may be larger than the arena. So each is a file of its own, streamed
//! in order and removed at once:
//!
//! * [`writer`] writes the bytes into a file `.part`, makes them durable, then the header, and renames
//!   the file to `.shard`. So a file of that name is whole.
//! * [`format`](mod@format) is the header: the names of the shard and the shape of its namespace. A start finds all
//!   it needs in these, also where the arena is gone.
//! * [`reader`] reads a file piece by piece, and compares the checksum before the last piece.
//!
//! All I/O runs on the blocking threads of the runtime that polls.

mod config;
mod format;
mod reader;
mod store;
mod writer;

pub use config::ShardDisk;
pub(super) use format::HEADER_LEN;
pub(super) use reader::FileRead;
pub(super) use store::{Disk, Found, StoredFile};
pub(super) use writer::{FileWrite, Finished};
