//! Manifest: persistent index of the objects in the arena, kept through a `kill -9`.
//!
//! A restarted daemon finds its arena with all bytes, and has to know to which objects they belong.
//! Every object is inserted here when it is sealed, and deleted before its extents are handed out
//! again. The file lies on the arena's tmpfs and is mapped: a store into it survives the process
//! the instant it is made, without a system call. It does not survive a reboot, and neither do the
//! bytes.
//!
//! The file is read at the start only. A daemon that starts reads the manifest of its predecessor,
//! writes a manifest of its own with the objects that it took over, and only then gives that the
//! name of the old one: whenever the daemon is killed, one of the two is whole.
//!
//! Layout, version 1, all numbers little-endian. The file consists of cells of 256 bytes; the first
//! 16 are the header:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `KVLRECRD` |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes per cell, 256 |
//! | 16..24 | length of the arena in bytes |
//! | 24..32 | inode of the arena |
//! | 32..40 | boot that the times count from (XXH3-64 of the kernel's boot id) |
//! | 40..48 | XXH3-64 of bytes 0..40 |
//! | 48..4096 | zero |
//!
//! An object has one cell, or a chain of them if its names are long or its extents many:
//!
//! | bytes | first cell | every further cell |
//! |---|---|---|
//! | 0..8 | XXH3-64 of the cell's number (4 bytes), the length (4 bytes) and the entry; never 0 | 0 |
//! | 8..12 | number of the next cell, 0 for none | the same |
//! | 12..16 | length of the entry in bytes | 0 |
//! | 16..256 | the entry's first 240 bytes | its next 240 bytes |
//!
//! The checksum in the first 8 bytes is written last and commits the cell; zeroing it deletes the
//! entry. A cell that does not begin with the checksum of its entry is free, part of a chain, or
//! was never committed.
//!
//! The entry:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | generation: of two objects the later one has the larger |
//! | 8..16 | time of the seal, nanoseconds of `CLOCK_BOOTTIME` |
//! | 16..24 | length of the object in bytes |
//! | 24..32 | XXH3-64 of the object's bytes |
//! | 32..34 | number of extents, n |
//! | 34..36 | length of the bucket's name in bytes, b |
//! | 36..38 | length of the key in bytes, k |
//! | 38..40 | zero |
//! | 40..40+16n | the extents: offset in the arena and length, 8 bytes each |
//! | ..+b | the bucket's name, UTF-8 |
//! | ..+k | the key, UTF-8 |

mod cells;
mod entry;
mod file;
mod header;
mod index;
mod layout;
mod origin;
mod stored;

pub use file::ManifestFile;
pub(crate) use file::{build, find, publish, stated_capacity};
pub(crate) use header::Header;
pub use index::Manifest;
pub use origin::ManifestOrigin;
pub use stored::StoredManifest;

#[cfg(test)]
mod tests;
